package switchgate

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

const (
	// firstPause comes before the first repeat, and is doubled for each further one.
	firstPause = 25 * time.Millisecond
	// longestPause is as long as it gets.
	longestPause = 2 * time.Second
	// patience bounds the repeats of an RPC without a deadline: as long as the gateway gives one by default.
	patience = 30 * time.Second
)

// repeatable are RPCs that change something, of which a second time changes nothing more, at whichever gateway.
var repeatable = []string{
	"SessionService/Answer", "SessionService/PreAnswer", "SessionService/RingReady", "SessionService/Hangup",
	"SessionService/Park", "SessionService/Hold", "SessionService/Unhold", "SessionService/Mute", "SessionService/Unmute",
	"SessionService/SetVariables", "SessionService/UnsetVariables", "SessionService/StartRecording",
	"SessionService/MaskRecording", "SessionService/UnmaskRecording", "SessionService/BypassMedia",
	"SessionService/StartAmd", "SessionService/StopAmd", "CallService/HangupCall", "CallService/AppendSession",
	"NodeService/DrainNode", "NodeService/UndrainNode", "NodeService/ReconcileNode",
}

// reading are the RPCs whose repeats on UNAVAILABLE the service configuration has.
var reading = func() map[string]bool {
	names := map[string]bool{}
	for _, method := range methods() {
		if changesNothing(method) {
			names["/"+string(method.Parent().FullName())+"/"+string(method.Name())] = true
		}
	}
	return names
}()

// attempts is the key of a context's count of attempts.
type attempts struct{}

// countAttempts has the attempts of RPCs with this context counted.
func countAttempts(ctx context.Context) (context.Context, *atomic.Int32) {
	count := new(atomic.Int32)
	return context.WithValue(ctx, attempts{}, count), count
}

// repeatUnary sends an RPC again where that is safe.
func repeatUnary(
	ctx context.Context, method string, request, response any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	pauses := newPauses(ctx)
	for {
		if count, ok := ctx.Value(attempts{}).(*atomic.Int32); ok {
			count.Add(1)
		}
		err := invoke(ctx, method, request, response, conn, options...)
		if err == nil || reading[method] && codeOf(err) == codes.Unavailable || !mayRepeat(ctx, method, request, err) {
			return err
		}
		if !pauses.wait(ctx, err) {
			return err
		}
	}
}

// mayRepeat says whether an RPC that failed so can be sent again.
func mayRepeat(ctx context.Context, method string, request any, err error) bool {
	e, ok := AsError(err)
	if !ok || ctx.Err() != nil {
		return false
	}
	if e.HasRetry {
		return true
	}
	safe := slices.Contains(repeatable, strings.TrimPrefix(method, "/switchgate.v1."))
	switch request := request.(type) {
	case *switchgatev1.OriginateRequest:
		safe = request.GetRequestId() != ""
	case *switchgatev1.OriginateStreamRequest:
		safe = request.GetOriginate().GetRequestId() != ""
	case *switchgatev1.BridgeRequest:
		// Legs that are bridged with each other stay so; an endpoint would be called twice.
		safe = request.GetPeerSessionId() != ""
	}
	return safe && connectionEnded(e)
}

// connectionEnded says whether the status is one of a connection or gateway that went away.
func connectionEnded(e *Error) bool {
	switch e.Code {
	case codes.Unavailable:
		return true
	case codes.Canceled, codes.Internal, codes.Unknown:
		// Of a proxy or of the connection; the gateway's own have a reason.
		return e.ReasonName == ""
	default:
		return false
	}
}

func codeOf(err error) codes.Code {
	if e, ok := AsError(err); ok {
		return e.Code
	}
	return codes.Unknown
}

// pauses are those between attempts.
type pauses struct {
	next time.Duration
	end  time.Time
}

func newPauses(ctx context.Context) *pauses {
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(patience)
	}
	return &pauses{next: firstPause, end: end}
}

// wait pauses, longer each time and as long as the gateway asks for. False when there is no time for another attempt.
func (p *pauses) wait(ctx context.Context, err error) bool {
	pause := time.Duration(float64(p.next) * (0.5 + rand.Float64()))
	p.next = min(2*p.next, longestPause)
	if e, ok := AsError(err); ok {
		pause = max(pause, e.RetryAfter)
	}
	if time.Now().Add(pause).After(p.end) {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
