// Package switchgate is the Go client of Switchgate, the gRPC control plane for FreeSWITCH.
//
// [Dial] connects to one gateway or several; the stubs of all services hang on the [Client] that it gives:
//
//	client, err := switchgate.Dial("gateway.example.net:50061", switchgate.WithTokenFile("/run/secrets/token"))
//	...
//	session, err := client.Originate(ctx, &switchgatev1.OriginateRequest{Endpoints: []string{"user/1000"}})
//
// The package adds to the generated code (package switchgatev1, in gen/switchgate/v1) what every client needs:
//
//   - connections that are kept alive, spread over all gateways behind a name, and leave those that are about to stop;
//   - retries of what is safe to send again, and of nothing else, see [Dial];
//   - errors with their reason, hangup cause and what else Switchgate tells: [AsError];
//   - a call that is hung up when its context ends: [Client.Originate];
//   - a subscription that goes on where it was when a connection or a gateway ends: [Client.Subscribe].
package switchgate

import (
	"context"

	"google.golang.org/grpc"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

// Client holds the stubs of all services over one connection. It is safe for concurrent use; one is enough for a program.
type Client struct {
	// Sessions works on single legs.
	Sessions switchgatev1.SessionServiceClient
	// Calls works on legs that together are a phone call.
	Calls switchgatev1.CallServiceClient
	// Jobs runs commands in the background.
	Jobs switchgatev1.JobServiceClient
	// Events streams and publishes events; see [Client.Subscribe] for a stream that resumes.
	Events switchgatev1.EventServiceClient
	// Nodes shows the FreeSWITCH nodes.
	Nodes switchgatev1.NodeServiceClient

	conn *grpc.ClientConn
}

// NewClient is a client over a connection of the caller's own, such as one made for tests. Of what [Dial] does for a
// connection it does nothing, and Close leaves the connection open.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{
		Sessions: switchgatev1.NewSessionServiceClient(conn),
		Calls:    switchgatev1.NewCallServiceClient(conn),
		Jobs:     switchgatev1.NewJobServiceClient(conn),
		Events:   switchgatev1.NewEventServiceClient(conn),
		Nodes:    switchgatev1.NewNodeServiceClient(conn),
	}
}

// Conn is the connection that [Dial] made, nil for a client of [NewClient].
func (c *Client) Conn() *grpc.ClientConn { return c.conn }

// Close ends the connection that [Dial] made and all RPCs on it.
func (c *Client) Close() error {
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// Hangup hangs a leg up and returns it as it was then. A leg that has ended already, also by an earlier attempt of this
// very call whose answer was lost, is no error; the session is nil when no gateway knows it any more.
func (c *Client) Hangup(ctx context.Context, sessionID string, cause switchgatev1.HangupCause) (*switchgatev1.Session, error) {
	ctx, attempts := countAttempts(ctx)
	response, err := c.Sessions.Hangup(ctx, &switchgatev1.HangupRequest{SessionId: sessionID, Cause: cause})
	switch Reason(err) {
	case switchgatev1.ErrorReason_ERROR_REASON_SESSION_ENDED:
		found, err := c.Sessions.GetSession(ctx, &switchgatev1.GetSessionRequest{SessionId: sessionID})
		if Reason(err) == switchgatev1.ErrorReason_ERROR_REASON_SESSION_NOT_FOUND {
			return nil, nil
		}
		return found.GetSession(), err
	case switchgatev1.ErrorReason_ERROR_REASON_SESSION_NOT_FOUND:
		if attempts.Load() > 1 {
			return nil, nil
		}
	}
	return response.GetSession(), err
}
