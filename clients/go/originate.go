package switchgate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

const (
	// namesWithin is how long a call that is given up may take to tell the names of its legs.
	namesWithin = time.Second
	// cleanUp is how long it may take to hang them up.
	cleanUp = 5 * time.Second
)

// Originate places a call and returns the leg that was answered.
//
// When ctx ends first, the call is hung up wherever it has got to: also a leg that is answered at that very moment. The
// error then wraps ctx.Err(), and comes when the legs are down, or 5 s later where no gateway answers. A call that fails is told by the error's [Cause]; `SessionId` and `JobId` are in it too.
//
// A request_id is given to a request that has none, so that the call survives the end of a connection or gateway: it is
// asked for again, and not placed twice. The request itself is not changed.
//
// With detach, and with a wait_for of PROGRESS or STARTED, the call is nobody's once it is placed: ctx then ends the
// waiting alone, or what the gateway makes of it.
func (c *Client) Originate(
	ctx context.Context, request *switchgatev1.OriginateRequest,
) (*switchgatev1.Session, error) {
	return c.OriginateWithProgress(ctx, request, nil)
}

// OriginateWithProgress is [Client.Originate] that tells of the call: that it was accepted, of each leg that is called,
// rings, is answered or has ended. After the end of a connection, legs are told again as they are then. With detach, and
// with a wait_for of PROGRESS or STARTED, nothing is told.
func (c *Client) OriginateWithProgress(
	ctx context.Context, request *switchgatev1.OriginateRequest, progress func(*switchgatev1.OriginateStreamResponse),
) (*switchgatev1.Session, error) {
	request = proto.CloneOf(request)
	if request.GetRequestId() == "" {
		request.RequestId = rand.Text()
	}
	wait := request.GetWaitFor()
	if request.GetDetach() || wait == switchgatev1.OriginateWait_ORIGINATE_WAIT_PROGRESS ||
		wait == switchgatev1.OriginateWait_ORIGINATE_WAIT_STARTED {
		response, err := c.Sessions.Originate(ctx, request)
		return response.GetSession(), ended(ctx, err)
	}
	p := &placing{client: c, progress: progress, named: make(chan struct{})}
	pauses := newPauses(ctx)
	for {
		session, err := p.attempt(ctx, request)
		if err == nil {
			return session, nil
		}
		// The deadline of the stream is that of ctx, whose own timer can be later.
		if codeOf(err) == codes.DeadlineExceeded {
			err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
		}
		if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
			p.hangUp(ctx)
			return nil, ended(ctx, err)
		}
		method := switchgatev1.SessionService_OriginateStream_FullMethodName
		again := &switchgatev1.OriginateStreamRequest{Originate: request}
		if !mayRepeat(ctx, method, again, err) || !pauses.wait(ctx, err) {
			return nil, ended(ctx, err)
		}
	}
}

// placing is a call that is being placed.
type placing struct {
	client   *Client
	progress func(*switchgatev1.OriginateStreamResponse)
	// Closed when legs is written.
	named chan struct{}
	legs  []string
}

// attempt asks for the call until it is answered or fails.
func (p *placing) attempt(ctx context.Context, request *switchgatev1.OriginateRequest) (*switchgatev1.Session, error) {
	// The stream outlives ctx until the legs have names: what has none could not be hung up.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		// The gateway has to know it, since it is how long the call may ring.
		var stop context.CancelFunc
		own, stop = context.WithDeadline(own, deadline)
		defer stop()
	}
	stopped := context.AfterFunc(ctx, func() {
		select {
		case <-p.named:
		case <-time.After(namesWithin):
		}
		cancel()
	})
	defer stopped()
	stream, err := p.client.Sessions.OriginateStream(own, &switchgatev1.OriginateStreamRequest{Originate: request})
	if err != nil {
		return nil, err
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("switchgate: the call's progress ended without its end")
			}
			return nil, err
		}
		if accepted := message.GetAccepted(); accepted != nil && p.legs == nil {
			p.legs = accepted.GetSessionIds()
			close(p.named)
		}
		if p.progress != nil {
			p.progress(message)
		}
		if end := message.GetEnded(); end != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return end.GetSession(), nil
		}
	}
}

// hangUp ends what is left of a call that nobody waits for any more. Legs that the gateway has hung up are no error.
func (p *placing) hangUp(ctx context.Context) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	for _, leg := range p.legs {
		request := &switchgatev1.HangupRequest{
			SessionId: leg, Cause: switchgatev1.HangupCause_HANGUP_CAUSE_ORIGINATOR_CANCEL,
		}
		// What fails here, the caller cannot do better: the context is over.
		_, _ = p.client.Sessions.Hangup(own, request)
	}
}

// ended says of an error behind the end of a context that this is the cause.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), err)
}
