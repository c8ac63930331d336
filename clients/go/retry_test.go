package switchgate

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

func TestWhatMayBeSentAgain(t *testing.T) {
	const (
		originate = "/switchgate.v1.SessionService/Originate"
		hangup    = "/switchgate.v1.SessionService/Hangup"
		dtmf      = "/switchgate.v1.SessionService/SendDtmf"
		job       = "/switchgate.v1.JobService/RunJob"
		bridge    = "/switchgate.v1.SessionService/Bridge"
	)
	named := &switchgatev1.OriginateRequest{RequestId: "a"}
	peer := &switchgatev1.BridgeRequest{Peer: &switchgatev1.BridgeRequest_PeerSessionId{PeerSessionId: "b"}}
	endpoint := &switchgatev1.BridgeRequest{Peer: &switchgatev1.BridgeRequest_Endpoint{Endpoint: "user/1"}}
	lost := status.Error(codes.Unavailable, "connection closed")
	unknown := failure(codes.Unavailable, "OUTCOME_UNKNOWN", nil)
	refused := failure(codes.Unavailable, "NODE_UNAVAILABLE", nil, retry(time.Second))
	for _, each := range []struct {
		method  string
		request any
		err     error
		may     bool
	}{
		{hangup, nil, lost, true},
		{hangup, nil, unknown, true},
		{hangup, nil, status.Error(codes.Canceled, "h2"), true},
		{hangup, nil, failure(codes.FailedPrecondition, "SESSION_ENDED", nil), false},
		{hangup, nil, failure(codes.Canceled, "CANCELLED", nil), false},
		{originate, named, unknown, true},
		{originate, named, failure(codes.Aborted, "CALL_FAILED", nil), false},
		{originate, &switchgatev1.OriginateRequest{}, lost, false},
		{originate, &switchgatev1.OriginateRequest{}, refused, true},
		{dtmf, nil, lost, false},
		{dtmf, nil, refused, true},
		{job, &switchgatev1.RunJobRequest{RequestId: "a"}, lost, false},
		{bridge, peer, lost, true},
		{bridge, endpoint, lost, false},
	} {
		if may := mayRepeat(context.Background(), each.method, each.request, each.err); may != each.may {
			t.Errorf("%s %v %v: %v", each.method, each.request, each.err, may)
		}
	}
	left, cancel := context.WithCancel(context.Background())
	cancel()
	if mayRepeat(left, hangup, nil, lost) {
		t.Error("nobody waits for it")
	}
}

func TestEveryNameOfARepeatableRPCIsOne(t *testing.T) {
	known := map[string]bool{}
	for _, method := range methods() {
		known[string(method.Parent().Name())+"/"+string(method.Name())] = !changesNothing(method)
	}
	for _, name := range repeatable {
		if !known[name] {
			t.Errorf("%s is no RPC that changes something", name)
		}
	}
	if len(reading) < 15 || reading["/switchgate.v1.SessionService/Hangup"] {
		t.Errorf("%v", reading)
	}
}

func TestAHangupIsRepeatedUntilItIsDone(t *testing.T) {
	f := &fake{}
	client := serve(t, f, WithToken("secret"))
	f.hangup = func(request *switchgatev1.HangupRequest) (*switchgatev1.HangupResponse, error) {
		switch f.counted("Hangup") {
		case 1:
			return nil, status.Error(codes.Unavailable, "connection closed")
		case 2:
			return nil, failure(codes.Unavailable, "SHUTTING_DOWN", nil, retry(time.Millisecond))
		default:
			return nil, failure(codes.NotFound, "SESSION_NOT_FOUND", nil)
		}
	}
	session, err := client.Hangup(within(t), "a", 0)
	if session != nil || err != nil || f.counted("Hangup") != 3 {
		t.Errorf("%v %v %d", session, err, f.counted("Hangup"))
	}
	if len(f.authorized) != 1 || f.authorized[0] != "Bearer secret" {
		t.Errorf("%v", f.authorized)
	}
	// One that is unknown at once is not down: there is none.
	_, err = client.Hangup(within(t), "a", 0)
	if Reason(err) != switchgatev1.ErrorReason_ERROR_REASON_SESSION_NOT_FOUND {
		t.Error(err)
	}
}

func TestALegThatHasEndedIsHungUp(t *testing.T) {
	f := &fake{
		hangup: func(*switchgatev1.HangupRequest) (*switchgatev1.HangupResponse, error) {
			return nil, failure(codes.FailedPrecondition, "SESSION_ENDED", nil)
		},
		getSession: func(request *switchgatev1.GetSessionRequest) (*switchgatev1.GetSessionResponse, error) {
			session := &switchgatev1.Session{SessionId: request.GetSessionId()}
			return &switchgatev1.GetSessionResponse{Session: session}, nil
		},
	}
	session, err := serve(t, f).Hangup(within(t), "a", 0)
	if err != nil || session.GetSessionId() != "a" || f.counted("Hangup") != 1 {
		t.Errorf("%v %v", session, err)
	}
}

func TestDigitsAreNotSentTwice(t *testing.T) {
	f := &fake{sendDtmf: func() error { return status.Error(codes.Unavailable, "connection closed") }}
	_, err := serve(t, f).Sessions.SendDtmf(within(t), &switchgatev1.SendDtmfRequest{})
	if status.Code(err) != codes.Unavailable || f.counted("SendDtmf") != 1 {
		t.Errorf("%v %d", err, f.counted("SendDtmf"))
	}
}

func TestReadsAreRepeatedByTheServiceConfiguration(t *testing.T) {
	f := &fake{}
	f.getSession = func(*switchgatev1.GetSessionRequest) (*switchgatev1.GetSessionResponse, error) {
		if f.counted("GetSession") < 3 {
			return nil, status.Error(codes.Unavailable, "connection closed")
		}
		return &switchgatev1.GetSessionResponse{}, nil
	}
	_, err := serve(t, f).Sessions.GetSession(within(t), &switchgatev1.GetSessionRequest{})
	if err != nil || f.counted("GetSession") != 3 {
		t.Errorf("%v %d", err, f.counted("GetSession"))
	}
	g := &fake{getSession: func(*switchgatev1.GetSessionRequest) (*switchgatev1.GetSessionResponse, error) {
		return nil, status.Error(codes.Unavailable, "connection closed")
	}}
	_, err = serve(t, g, WithoutRetries()).Sessions.GetSession(within(t), &switchgatev1.GetSessionRequest{})
	if status.Code(err) != codes.Unavailable || g.counted("GetSession") != 1 {
		t.Errorf("%v %d", err, g.counted("GetSession"))
	}
}

func TestThereIsNoTimeForALongPause(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if newPauses(ctx).wait(ctx, failure(codes.Unavailable, "NO_NODE_AVAILABLE", nil, retry(30*time.Second))) {
		t.Error("the deadline passes before")
	}
}

func TestAListOfAddressesIsOneTarget(t *testing.T) {
	found := addresses("a.example:1, [::1]:2")
	if len(found) != 2 || found[0].ServerName != "a.example" || found[1].Addr != "[::1]:2" || found[1].ServerName != "::1" {
		t.Errorf("%v", found)
	}
	client, err := Dial("a.example:1,b.example:2")
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}
