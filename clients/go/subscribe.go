package switchgate

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

// steady is how long a stream has to last for the next pause to be a short one again.
const steady = 500 * time.Millisecond

// Update is what a [Subscription] tells; one of its fields is set, beside Cursor.
type Update struct {
	// Cursor is behind everything told so far, this update included. To keep it is enough to go on after a restart of the
	// program, with the same gateway.
	Cursor string
	// Events are new events, in order.
	Events []*switchgatev1.Event
	// Gap says that the gateway misses events, see its Reason.
	Gap *switchgatev1.Gap
	// Moved says that the stream goes on in another place than behind the last cursor.
	Moved *Moved
	// NodeState is a node whose state has changed.
	NodeState *switchgatev1.Node
	// Snapshot is a part of what there is, of a subscription that begins so; SnapshotEnd says that it is whole. After
	// a Moved another one comes.
	Snapshot    *switchgatev1.Snapshot
	SnapshotEnd *switchgatev1.SnapshotEnd
}

// Moved says that no gateway holds the events behind the last cursor: its gateway is gone, or was away for longer than
// its journal reaches. A subscription that began with a snapshot begins with another one. Any other goes on with the
// oldest event of the new journal, without those that it has told. What is missing then is what happened while no
// gateway was in service, or before the oldest event of the journal: nothing, when gateways are replaced one by one.
type Moved struct {
	// From is the last cursor, of the journal that is no longer there.
	From string
	// Reason is the error, CURSOR_LOST.
	Reason *Error
}

// Subscription is a stream of events that goes on by itself when its connection or gateway ends. It is for one goroutine
// at a time.
type Subscription struct {
	client  switchgatev1.EventServiceClient
	request *switchgatev1.SubscribeRequest
	ctx     context.Context
	cancel  context.CancelFunc

	stream switchgatev1.EventService_SubscribeClient
	stop   context.CancelFunc
	began  time.Time
	pauses *pauses

	cursor string
	// Whether the subscription wants snapshots, and whether one is under way: it cannot be resumed.
	snapshots, within bool
	heard             *heard
	// Whether events may come that were told before.
	replayed    bool
	pending     []*Update
	reconnected func(error)
}

// SubscribeOption changes a [Subscription].
type SubscribeOption func(*Subscription)

// OnReconnect is told why a stream ended, each time before another one is tried.
func OnReconnect(tell func(error)) SubscribeOption {
	return func(s *Subscription) { s.reconnected = tell }
}

// Subscribe begins a subscription, which lasts until ctx ends, Close is called, or the gateway refuses it for good.
// The request says what is wanted and where to begin; it is not changed. There is no connection yet when it returns.
func (c *Client) Subscribe(
	ctx context.Context, request *switchgatev1.SubscribeRequest, options ...SubscribeOption,
) *Subscription {
	s := &Subscription{client: c.Events, request: proto.CloneOf(request), heard: newHeard()}
	if s.request == nil {
		s.request = &switchgatev1.SubscribeRequest{}
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.cursor = s.request.GetStart().GetCursor()
	s.snapshots = s.request.GetStart().GetSnapshot() != nil
	for _, option := range options {
		option(s)
	}
	return s
}

// Cursor is behind everything that was told. Empty before the first update.
func (s *Subscription) Cursor() string { return s.cursor }

// Close ends the subscription; a Recv that waits returns context.Canceled.
func (s *Subscription) Close() { s.cancel() }

// All gives the updates one by one until the subscription ends, and then the error of Recv.
func (s *Subscription) All() iter.Seq2[*Update, error] {
	return func(yield func(*Update, error) bool) {
		for {
			update, err := s.Recv()
			if !yield(update, err) || err != nil {
				return
			}
		}
	}
}

// Recv waits for the next update. The error is that of the context, or the gateway's when it refuses: the request is
// malformed, or the caller may not.
func (s *Subscription) Recv() (*Update, error) {
	for {
		if len(s.pending) > 0 {
			update := s.pending[0]
			s.pending = s.pending[1:]
			return update, nil
		}
		if err := s.ctx.Err(); err != nil {
			s.leave()
			return nil, err
		}
		message, err := s.receive()
		if err != nil {
			if err := s.recover(err); err != nil {
				s.leave()
				return nil, err
			}
			continue
		}
		if update := s.take(message); update != nil {
			return update, nil
		}
	}
}

// receive waits for a message of the stream, which is begun first where there is none.
func (s *Subscription) receive() (*switchgatev1.SubscribeResponse, error) {
	if s.stream == nil {
		ctx, stop := context.WithCancel(s.ctx)
		stream, err := s.client.Subscribe(ctx, s.request)
		if err != nil {
			stop()
			return nil, err
		}
		s.stream, s.stop, s.began = stream, stop, time.Now()
	}
	return s.stream.Recv()
}

// take makes an update of a message; nil for one that tells nothing new.
func (s *Subscription) take(message *switchgatev1.SubscribeResponse) *Update {
	s.heard.begin()
	update := &Update{Cursor: message.GetCursor()}
	switch told := message.GetMessage().(type) {
	case *switchgatev1.SubscribeResponse_Events:
		update.Events = s.heard.fresh(told.Events.GetEvents(), s.replayed)
	case *switchgatev1.SubscribeResponse_Gap:
		update.Gap = told.Gap
	case *switchgatev1.SubscribeResponse_NodeState:
		update.NodeState = told.NodeState
	case *switchgatev1.SubscribeResponse_Snapshot:
		update.Snapshot, s.within = told.Snapshot, true
	case *switchgatev1.SubscribeResponse_SnapshotEnd:
		update.SnapshotEnd, s.within = told.SnapshotEnd, false
	}
	s.cursor = update.Cursor
	if !s.within {
		s.request.Start = &switchgatev1.SubscribeStart{
			Position: &switchgatev1.SubscribeStart_Cursor{Cursor: s.cursor},
		}
	}
	if update.Events == nil && update.Gap == nil && update.NodeState == nil && update.Snapshot == nil &&
		update.SnapshotEnd == nil {
		return nil
	}
	return update
}

// recover makes ready for another stream behind one that failed, and pauses; an error when there is no use in one.
func (s *Subscription) recover(err error) error {
	steadily := s.stream != nil && time.Since(s.began) > steady
	s.leave()
	if cause := s.ctx.Err(); cause != nil {
		return cause
	}
	e, ok := AsError(err)
	switch {
	case errors.Is(err, io.EOF):
		// A proxy that ends streams in good order; the gateway does not.
	case !ok:
		return err
	case e.Reason == switchgatev1.ErrorReason_ERROR_REASON_CURSOR_LOST:
		s.move(e)
	case connectionEnded(e), e.HasRetry, e.Reason == switchgatev1.ErrorReason_ERROR_REASON_SLOW_CONSUMER,
		e.Code == codes.DeadlineExceeded:
	default:
		return err
	}
	if s.reconnected != nil {
		s.reconnected(err)
	}
	if s.within {
		// The cursor of a part lies behind all of the snapshot.
		s.request.Start = snapshot()
	}
	if s.pauses == nil || steadily {
		s.pauses = newPauses(s.ctx)
	}
	s.pauses.end = time.Now().Add(time.Hour)
	if e != nil && (e.Reason == switchgatev1.ErrorReason_ERROR_REASON_SHUTTING_DOWN ||
		e.Reason == switchgatev1.ErrorReason_ERROR_REASON_CURSOR_LOST) {
		// As soon as can be: the other gateways have what this one would have told next. One that takes its place, and
		// would be asked too after the pause that RetryInfo names, has not.
		err = nil
	}
	if !s.pauses.wait(s.ctx, err) {
		return s.ctx.Err()
	}
	return nil
}

// move goes on where the journal begins, or with what there is.
func (s *Subscription) move(reason *Error) {
	if s.snapshots {
		s.request.Start = snapshot()
	} else {
		s.request.Start = &switchgatev1.SubscribeStart{
			Position: &switchgatev1.SubscribeStart_Earliest{Earliest: &switchgatev1.StartEarliest{}},
		}
		s.replayed = true
	}
	s.pending = append(s.pending, &Update{Cursor: s.cursor, Moved: &Moved{From: s.cursor, Reason: reason}})
}

func (s *Subscription) leave() {
	if s.stop != nil {
		s.stop()
	}
	s.stream, s.stop = nil, nil
}

func snapshot() *switchgatev1.SubscribeStart {
	return &switchgatev1.SubscribeStart{
		Position: &switchgatev1.SubscribeStart_Snapshot{Snapshot: &switchgatev1.StartSnapshot{}},
	}
}
