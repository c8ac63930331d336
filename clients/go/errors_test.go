package switchgate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

func TestAnErrorTellsWhyACallFailed(t *testing.T) {
	err := fmt.Errorf("while calling: %w", failure(codes.Aborted, "CALL_FAILED", map[string]string{
		"hangup_cause": "USER_BUSY", "q850": "17", "sip_code": "486", "session_id": "s", "job_id": "j", "node_id": "n",
		"freeswitch_reply": "-ERR USER_BUSY",
	}))
	e, ok := AsError(err)
	if !ok || e.Code != codes.Aborted || e.Reason != switchgatev1.ErrorReason_ERROR_REASON_CALL_FAILED {
		t.Fatalf("%v %+v", ok, e)
	}
	if e.Cause() != switchgatev1.HangupCause_HANGUP_CAUSE_USER_BUSY || e.Q850() != 17 || e.SIPCode() != 486 {
		t.Errorf("%v %d %d", e.Cause(), e.Q850(), e.SIPCode())
	}
	if e.SessionID() != "s" || e.JobID() != "j" || e.NodeID() != "n" || e.FreeSwitchReply() != "-ERR USER_BUSY" {
		t.Errorf("%+v", e.Metadata)
	}
	if e.HasRetry || e.CommandSent() || status.Code(e) != codes.Aborted || !errors.Is(e, err) {
		t.Errorf("%+v", e)
	}
	if Cause(err) != e.Cause() || Reason(err) != e.Reason {
		t.Error("the short forms differ")
	}
}

func TestAnErrorTellsFieldsAndRetries(t *testing.T) {
	field := &errdetails.BadRequest_FieldViolation{Field: "session_id", Description: "is missing"}
	bad := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{field}}
	e, _ := AsError(failure(codes.InvalidArgument, "INVALID_ARGUMENT", nil, bad))
	if len(e.Violations) != 1 || e.Violations[0] != (Violation{"session_id", "is missing"}) {
		t.Errorf("%+v", e.Violations)
	}
	e, _ = AsError(failure(codes.Unavailable, "NODE_UNAVAILABLE", nil, retry(2*time.Second)))
	if !e.HasRetry || e.RetryAfter != 2*time.Second {
		t.Errorf("%+v", e)
	}
	e, _ = AsError(failure(codes.Unavailable, "OUTCOME_UNKNOWN", nil))
	if !e.CommandSent() {
		t.Error("OUTCOME_UNKNOWN says that the command was sent")
	}
	e, _ = AsError(failure(codes.Unavailable, "OF_A_LATER_VERSION", nil))
	if e.ReasonName != "OF_A_LATER_VERSION" || e.Reason != switchgatev1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		t.Errorf("%+v", e)
	}
}

func TestWhatIsNoStatusIsNone(t *testing.T) {
	for _, err := range []error{nil, io.EOF, context.Canceled} {
		if e, ok := AsError(err); ok {
			t.Errorf("%v: %+v", err, e)
		}
	}
	if Cause(io.EOF) != 0 || Reason(nil) != 0 {
		t.Error("there is none")
	}
}
