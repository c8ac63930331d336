package switchgate

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

func accepted(leg string) *switchgatev1.OriginateStreamResponse {
	accepted := &switchgatev1.OriginateAccepted{JobId: "job", SessionIds: []string{leg}}
	return &switchgatev1.OriginateStreamResponse{
		Progress: &switchgatev1.OriginateStreamResponse_Accepted{Accepted: accepted},
	}
}

func answered(leg string) *switchgatev1.OriginateStreamResponse {
	end := &switchgatev1.OriginateLeg{Session: &switchgatev1.Session{SessionId: leg, Answered: true}}
	return &switchgatev1.OriginateStreamResponse{Progress: &switchgatev1.OriginateStreamResponse_Ended{Ended: end}}
}

func TestACallIsAskedForAgainUnderItsOwnID(t *testing.T) {
	var ids []string
	f := &fake{originateStream: func(
		request *switchgatev1.OriginateStreamRequest, stream switchgatev1.SessionService_OriginateStreamServer,
	) error {
		ids = append(ids, request.GetOriginate().GetRequestId())
		if err := stream.Send(accepted("leg")); err != nil {
			return err
		}
		if len(ids) == 1 {
			return status.Error(codes.Unavailable, "connection closed")
		}
		return stream.Send(answered("leg"))
	}}
	request := &switchgatev1.OriginateRequest{Endpoints: []string{"user/1000"}}
	told := 0
	session, err := serve(t, f).OriginateWithProgress(within(t), request,
		func(*switchgatev1.OriginateStreamResponse) { told++ })
	if err != nil || session.GetSessionId() != "leg" || told != 3 {
		t.Fatalf("%v %v %d", session, err, told)
	}
	if len(ids) != 2 || ids[0] == "" || ids[0] != ids[1] || request.GetRequestId() != "" {
		t.Errorf("%v %v", ids, request)
	}
}

func TestACallThatFailsIsNotRepeated(t *testing.T) {
	f := &fake{originateStream: func(
		_ *switchgatev1.OriginateStreamRequest, _ switchgatev1.SessionService_OriginateStreamServer,
	) error {
		return failure(codes.Aborted, "CALL_FAILED", map[string]string{"hangup_cause": "USER_BUSY"})
	}}
	_, err := serve(t, f).Originate(within(t), &switchgatev1.OriginateRequest{})
	if Cause(err) != switchgatev1.HangupCause_HANGUP_CAUSE_USER_BUSY || f.counted("OriginateStream") != 1 {
		t.Errorf("%v %d", err, f.counted("OriginateStream"))
	}
}

func TestALegThatIsAnsweredWhenNobodyWaitsIsHungUp(t *testing.T) {
	ctx, cancel := context.WithCancelCause(within(t))
	changed := errors.New("the customer has left")
	hungUp := make(chan *switchgatev1.HangupRequest, 1)
	f := &fake{
		originateStream: func(
			_ *switchgatev1.OriginateStreamRequest, stream switchgatev1.SessionService_OriginateStreamServer,
		) error {
			// It leaves before it knows the leg, and the gateway does not hear of it before the answer.
			cancel(changed)
			if err := stream.Send(accepted("leg")); err != nil {
				return err
			}
			return stream.Send(answered("leg"))
		},
		hangup: func(request *switchgatev1.HangupRequest) (*switchgatev1.HangupResponse, error) {
			hungUp <- request
			return &switchgatev1.HangupResponse{}, nil
		},
	}
	_, err := serve(t, f).Originate(ctx, &switchgatev1.OriginateRequest{})
	if !errors.Is(err, context.Canceled) && !errors.Is(err, changed) {
		t.Errorf("%v", err)
	}
	request := <-hungUp
	if request.GetSessionId() != "leg" ||
		request.GetCause() != switchgatev1.HangupCause_HANGUP_CAUSE_ORIGINATOR_CANCEL {
		t.Errorf("%v", request)
	}
}
