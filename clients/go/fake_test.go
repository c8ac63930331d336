package switchgate

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

// fake is a gateway whose answers a test writes. What a test does not write is UNIMPLEMENTED.
type fake struct {
	switchgatev1.UnimplementedSessionServiceServer
	switchgatev1.UnimplementedEventServiceServer

	hangup          func(*switchgatev1.HangupRequest) (*switchgatev1.HangupResponse, error)
	getSession      func(*switchgatev1.GetSessionRequest) (*switchgatev1.GetSessionResponse, error)
	sendDtmf        func() error
	originateStream func(*switchgatev1.OriginateStreamRequest, switchgatev1.SessionService_OriginateStreamServer) error
	subscribe       func(int, *switchgatev1.SubscribeRequest, switchgatev1.EventService_SubscribeServer) error

	mutex      sync.Mutex
	calls      map[string]int
	authorized []string
}

func (f *fake) count(ctx context.Context, name string) int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.calls[name]++
	if got, ok := metadata.FromIncomingContext(ctx); ok {
		f.authorized = got.Get("authorization")
	}
	return f.calls[name]
}

func (f *fake) counted(name string) int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.calls[name]
}

func (f *fake) Hangup(ctx context.Context, request *switchgatev1.HangupRequest) (*switchgatev1.HangupResponse, error) {
	f.count(ctx, "Hangup")
	return f.hangup(request)
}

func (f *fake) GetSession(
	ctx context.Context, request *switchgatev1.GetSessionRequest,
) (*switchgatev1.GetSessionResponse, error) {
	f.count(ctx, "GetSession")
	return f.getSession(request)
}

func (f *fake) SendDtmf(ctx context.Context, _ *switchgatev1.SendDtmfRequest) (*switchgatev1.SendDtmfResponse, error) {
	f.count(ctx, "SendDtmf")
	return &switchgatev1.SendDtmfResponse{}, f.sendDtmf()
}

func (f *fake) OriginateStream(
	request *switchgatev1.OriginateStreamRequest, stream switchgatev1.SessionService_OriginateStreamServer,
) error {
	f.count(stream.Context(), "OriginateStream")
	return f.originateStream(request, stream)
}

func (f *fake) Subscribe(
	request *switchgatev1.SubscribeRequest, stream switchgatev1.EventService_SubscribeServer,
) error {
	return f.subscribe(f.count(stream.Context(), "Subscribe"), request, stream)
}

// serve starts the fake and gives a client of it that is made as Dial makes it.
func serve(t *testing.T, f *fake, options ...Option) *Client {
	t.Helper()
	f.calls = map[string]int{}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	switchgatev1.RegisterSessionServiceServer(server, f)
	switchgatev1.RegisterEventServiceServer(server, f)
	healthv1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(listener) }()
	dialer := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return listener.DialContext(ctx)
	})
	client, err := Dial("passthrough:///fake", append(options, WithPlaintext(), WithDialOptions(dialer))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Stop()
	})
	return client
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// failure is a status as the gateway makes it.
func failure(code codes.Code, reason string, facts map[string]string, more ...protoadapt.MessageV1) error {
	info := &errdetails.ErrorInfo{Reason: reason, Domain: "switchgate", Metadata: facts}
	told, err := status.New(code, "told").WithDetails(append(more, info)...)
	if err != nil {
		panic(err)
	}
	return told.Err()
}

func retry(after time.Duration) protoadapt.MessageV1 {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(after)}
}
