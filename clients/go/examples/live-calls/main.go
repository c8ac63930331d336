// Command live-calls keeps a list of the sessions that live, and prints what changes: first all there are, then each
// that begins, is answered, or ends. It goes on over the end of connections and gateways.
//
//	go run ./examples/live-calls
package main

import (
	"context"
	"fmt"

	switchgate "github.com/switchgate/switchgate/clients/go"
	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
	"github.com/switchgate/switchgate/clients/go/internal/example"
)

func main() { example.Run(follow) }

// list is the live sessions by their id, with what is shown of them.
type list map[string]string

func follow(ctx context.Context, client *switchgate.Client) error {
	live := list{}
	subscription := client.Subscribe(ctx, &switchgatev1.SubscribeRequest{
		Filter: &switchgatev1.EventFilter{EventNames: []string{"CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE"}},
		HeaderSelection: &switchgatev1.HeaderSelection{Selection: &switchgatev1.HeaderSelection_Names{
			Names: &switchgatev1.HeaderNames{Names: []string{"Channel-Name", "Hangup-Cause"}},
		}},
		Start: &switchgatev1.SubscribeStart{
			Position: &switchgatev1.SubscribeStart_Snapshot{Snapshot: &switchgatev1.StartSnapshot{}},
		},
	})
	for update, err := range subscription.All() {
		if err != nil {
			return err
		}
		switch {
		case update.Moved != nil:
			// Another snapshot follows, which is all there is.
			clear(live)
		case update.Snapshot != nil:
			for _, session := range update.Snapshot.GetSessions() {
				if session.GetHangup() == nil {
					live[session.GetSessionId()] = session.GetChannelName()
				}
			}
		case update.SnapshotEnd != nil:
			fmt.Println(len(live), "sessions live")
		}
		for _, event := range update.Events {
			live.apply(event)
		}
	}
	return nil
}

func (live list) apply(event *switchgatev1.Event) {
	id := event.GetSessionId()
	if name := event.GetHeaders()["Channel-Name"]; name != "" {
		live[id] = name
	}
	what := map[string]string{"CHANNEL_CREATE": "begins", "CHANNEL_ANSWER": "is answered"}[event.GetName()]
	name := live[id]
	if event.GetName() == "CHANNEL_HANGUP_COMPLETE" {
		what = "ends, " + event.GetHeaders()["Hangup-Cause"]
		delete(live, id)
	}
	fmt.Printf("%s %s (%d live)\n", name, what, len(live))
}
