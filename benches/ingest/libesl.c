/* Reads a number of events with FreeSWITCH's own client library; says what that cost in us. */
#include <esl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

int main(int argc, char **argv)
{
	esl_handle_t handle = {{0}};
	struct rusage used;
	long left;

	if (argc != 3) return 64;
	if (esl_connect(&handle, "127.0.0.1", (esl_port_t) atoi(argv[1]), NULL, "ClueCon") != ESL_SUCCESS) return 1;
	if (esl_events(&handle, ESL_EVENT_TYPE_PLAIN, "ALL") != ESL_SUCCESS) return 1;
	for (left = atol(argv[2]); left > 0; left--) {
		if (esl_recv_event(&handle, 1, NULL) != ESL_SUCCESS) return 1;
		if (!handle.last_ievent) return 1;
	}
	getrusage(RUSAGE_SELF, &used);
	printf("%ld\n", (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000L + used.ru_utime.tv_usec + used.ru_stime.tv_usec);
	return 0;
}
