package switchgate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

type stream = switchgatev1.EventService_SubscribeServer

// event is one of a FreeSWITCH that fires them all at this moment.
func event(sequence uint64) *switchgatev1.Event {
	return &switchgatev1.Event{
		CoreUuid: "core", Sequence: sequence, Name: "CUSTOM", Time: timestamppb.Now(),
		Cursor: fmt.Sprint("c", sequence),
	}
}

func batch(cursor string, events ...*switchgatev1.Event) *switchgatev1.SubscribeResponse {
	return &switchgatev1.SubscribeResponse{
		Cursor:  cursor,
		Message: &switchgatev1.SubscribeResponse_Events{Events: &switchgatev1.EventBatch{Events: events}},
	}
}

func checkpoint(cursor string) *switchgatev1.SubscribeResponse {
	return &switchgatev1.SubscribeResponse{
		Cursor:  cursor,
		Message: &switchgatev1.SubscribeResponse_Checkpoint{Checkpoint: &switchgatev1.Checkpoint{}},
	}
}

func part(ids ...string) *switchgatev1.SubscribeResponse {
	snapshot := &switchgatev1.Snapshot{}
	for _, id := range ids {
		snapshot.Sessions = append(snapshot.Sessions, &switchgatev1.Session{SessionId: id})
	}
	return &switchgatev1.SubscribeResponse{
		Cursor: "c0", Message: &switchgatev1.SubscribeResponse_Snapshot{Snapshot: snapshot},
	}
}

func snapshotEnd() *switchgatev1.SubscribeResponse {
	return &switchgatev1.SubscribeResponse{
		Cursor: "c0", Message: &switchgatev1.SubscribeResponse_SnapshotEnd{SnapshotEnd: &switchgatev1.SnapshotEnd{}},
	}
}

func lost() error {
	return failure(codes.OutOfRange, "CURSOR_LOST", map[string]string{"why": "other_epoch"})
}

func send(s stream, all ...*switchgatev1.SubscribeResponse) error {
	for _, each := range all {
		if err := s.Send(each); err != nil {
			return err
		}
	}
	return nil
}

// collect notes what is told until so many updates have come, and where each stream began.
func collect(t *testing.T, f *fake, request *switchgatev1.SubscribeRequest, updates int) []string {
	t.Helper()
	subscription := serve(t, f).Subscribe(within(t), request)
	defer subscription.Close()
	var told []string
	for update, err := range subscription.All() {
		if err != nil {
			t.Fatal(err, told)
		}
		switch {
		case update.Moved != nil:
			told = append(told, "moved from "+update.Moved.From)
		case update.Gap != nil:
			told = append(told, "gap "+update.Gap.GetReason().String())
		case update.Snapshot != nil:
			told = append(told, "snapshot "+update.Snapshot.GetSessions()[0].GetSessionId())
		case update.SnapshotEnd != nil:
			told = append(told, "snapshot end")
		}
		for _, event := range update.Events {
			told = append(told, fmt.Sprint(event.GetName(), " ", event.GetSequence()))
		}
		if updates--; updates == 0 {
			return told
		}
	}
	return told
}

func expect(t *testing.T, told []string, expected ...string) {
	t.Helper()
	if !slices.Equal(told, expected) {
		t.Errorf("told %q, expected %q", told, expected)
	}
}

func TestASubscriptionGoesOnBehindItsLastCursor(t *testing.T) {
	var starts []string
	f := &fake{subscribe: func(at int, request *switchgatev1.SubscribeRequest, s stream) error {
		starts = append(starts, request.GetStart().GetCursor())
		switch at {
		case 1:
			if err := send(s, checkpoint("c0"), batch("c1", event(1))); err != nil {
				return err
			}
			return failure(codes.Unavailable, "SHUTTING_DOWN", map[string]string{"cursor": "c1"})
		case 2:
			// Only the cursor has moved, then the connection is lost.
			if err := send(s, checkpoint("c5")); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "connection closed")
		case 3:
			return failure(codes.ResourceExhausted, "SLOW_CONSUMER", map[string]string{"cursor": "c5"})
		default:
			gap := &switchgatev1.Gap{Reason: switchgatev1.GapReason_GAP_REASON_LINK_LOST}
			told := &switchgatev1.SubscribeResponse{
				Cursor: "c5", Message: &switchgatev1.SubscribeResponse_Gap{Gap: gap},
			}
			if err := send(s, told, batch("c6", event(6))); err != nil {
				return err
			}
			<-s.Context().Done()
			return nil
		}
	}}
	told := collect(t, f, nil, 3)
	expect(t, told, "CUSTOM 1", "gap GAP_REASON_LINK_LOST", "CUSTOM 6")
	expect(t, starts, "", "c1", "c5", "c5")
}

func TestAtAnotherGatewayNoEventIsToldTwiceAndNoneIsMissing(t *testing.T) {
	first, second, third := event(1), event(2), event(3)
	before := event(0)
	before.Time = timestamppb.New(time.Now().Add(-time.Minute))
	hangup := &switchgatev1.Event{
		CoreUuid: "core", Sequence: 7, Name: "CHANNEL_HANGUP", SessionId: "leg", Time: timestamppb.Now(),
	}
	concluded := &switchgatev1.Event{
		CoreUuid: "core", Name: "CHANNEL_HANGUP", SessionId: "leg", Time: timestamppb.Now(), Synthetic: true,
	}
	other := &switchgatev1.Event{
		CoreUuid: "core", Name: "CHANNEL_HANGUP", SessionId: "other", Time: timestamppb.Now(), Synthetic: true,
	}
	f := &fake{subscribe: func(at int, request *switchgatev1.SubscribeRequest, s stream) error {
		switch at {
		case 1:
			if err := send(s, batch("a2", first, second, hangup)); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "connection closed")
		case 2:
			if request.GetStart().GetCursor() != "a2" {
				return status.Error(codes.Internal, "not where it was")
			}
			return lost()
		default:
			if request.GetStart().GetEarliest() == nil {
				return status.Error(codes.Internal, "not from the beginning")
			}
			if err := send(s, batch("b2", before, first, second), batch("b5", concluded, other, third)); err != nil {
				return err
			}
			<-s.Context().Done()
			return nil
		}
	}}
	told := collect(t, f, nil, 3)
	expect(t, told, "CUSTOM 1", "CUSTOM 2", "CHANNEL_HANGUP 7", "moved from a2", "CHANNEL_HANGUP 0", "CUSTOM 3")
}

func TestASnapshotThatWasCutIsBegunAnew(t *testing.T) {
	f := &fake{subscribe: func(at int, request *switchgatev1.SubscribeRequest, s stream) error {
		isSnapshot := request.GetStart().GetSnapshot() != nil
		switch {
		case at == 1 && isSnapshot:
			if err := send(s, part("a")); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "connection closed")
		case at == 2 && isSnapshot:
			if err := send(s, part("a"), snapshotEnd(), batch("c1", event(1))); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "connection closed")
		case at == 3 && request.GetStart().GetCursor() == "c1":
			return lost()
		case at == 4 && isSnapshot:
			if err := send(s, part("b"), snapshotEnd()); err != nil {
				return err
			}
			<-s.Context().Done()
			return nil
		default:
			return status.Error(codes.InvalidArgument, "not where it should begin")
		}
	}}
	request := &switchgatev1.SubscribeRequest{Start: snapshot()}
	told := collect(t, f, request, 7)
	expect(t, told,
		"snapshot a", "snapshot a", "snapshot end", "CUSTOM 1", "moved from c1", "snapshot b", "snapshot end")
}

func TestASubscriptionThatIsRefusedEnds(t *testing.T) {
	f := &fake{subscribe: func(int, *switchgatev1.SubscribeRequest, stream) error {
		return failure(codes.PermissionDenied, "PERMISSION_DENIED", nil)
	}}
	_, err := serve(t, f).Subscribe(within(t), nil).Recv()
	if Reason(err) != switchgatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED || f.counted("Subscribe") != 1 {
		t.Errorf("%v %d", err, f.counted("Subscribe"))
	}
}

func TestAContextEndsASubscription(t *testing.T) {
	f := &fake{subscribe: func(_ int, _ *switchgatev1.SubscribeRequest, s stream) error {
		<-s.Context().Done()
		return nil
	}}
	ctx, cancel := context.WithCancel(within(t))
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := serve(t, f).Subscribe(ctx, nil).Recv(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTheOldestEventsAreForgottenAndNotToldAgain(t *testing.T) {
	h := newHeard()
	h.begin()
	at := time.Now()
	var all []*switchgatev1.Event
	for sequence := range uint64(remembered + 5) {
		each := event(sequence)
		each.Time = timestamppb.New(at.Add(time.Duration(sequence) * time.Second))
		all = append(all, each)
	}
	if fresh := h.fresh(all, false); len(fresh) != len(all) {
		t.Fatal(len(fresh))
	}
	if fresh := h.fresh(all, true); len(fresh) != 0 || len(h.known) != remembered {
		t.Error(len(fresh), len(h.known))
	}
}
