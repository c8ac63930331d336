package switchgate

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // By it round_robin asks the gateways' health.
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

const (
	// keepaliveTime is how long a connection may be silent before the gateway is asked whether it is there.
	keepaliveTime = 30 * time.Second
	// keepaliveTimeout is how long the answer may take.
	keepaliveTimeout = 10 * time.Second
	// maxMessage is the largest message that is taken: an event can hold all variables of a channel.
	maxMessage = 64 << 20
)

// Option changes what [Dial] does.
type Option func(*settings)

type settings struct {
	tls         *tls.Config
	plaintext   bool
	token       func(context.Context) (string, error)
	noRetries   bool
	noHealth    bool
	failFast    bool
	grpcOptions []grpc.DialOption
}

// WithPlaintext speaks without TLS. Whoever listens on the way reads tokens and calls: for loopback, and for meshes that
// encrypt themselves.
func WithPlaintext() Option { return func(s *settings) { s.plaintext = true } }

// WithTLS says how to speak TLS: own authorities (RootCAs), a client certificate (Certificates). Without it the system's
// authorities count.
func WithTLS(config *tls.Config) Option { return func(s *settings) { s.tls = config } }

// WithToken sends a bearer token with each RPC.
func WithToken(token string) Option {
	return WithTokenSource(func(context.Context) (string, error) { return token, nil })
}

// WithTokenFile sends the bearer token that stands in a file, which is read for each RPC: Kubernetes renews it there.
func WithTokenFile(path string) Option {
	return WithTokenSource(func(context.Context) (string, error) {
		text, err := os.ReadFile(path)
		return strings.TrimSpace(string(text)), err
	})
}

// WithTokenSource asks for the bearer token of each RPC. It should answer from memory while the token is good.
func WithTokenSource(token func(context.Context) (string, error)) Option {
	return func(s *settings) { s.token = token }
}

// WithFailFast lets RPCs fail with UNAVAILABLE when no gateway is there. Without it they wait for one until their
// deadline.
func WithFailFast() Option { return func(s *settings) { s.failFast = true } }

// WithoutRetries sends everything once.
func WithoutRetries() Option { return func(s *settings) { s.noRetries = true } }

// WithoutHealthCheck also asks gateways whose health is NOT_SERVING: those that have no node in service, as when nodes
// are to be looked at for that very reason, and those that are about to stop.
func WithoutHealthCheck() Option { return func(s *settings) { s.noHealth = true } }

// WithDialOptions adds options of grpc-go, such as interceptors and stats handlers, behind those of this package.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.grpcOptions = append(s.grpcOptions, options...) }
}

// Dial makes a client. It does not wait for a connection; the first RPC does.
//
// The target is `host:port`, or any of gRPC's (`dns:///`, `unix:`), or several `host:port` with commas between. RPCs go
// round all addresses that a name has, as of a headless service of Kubernetes, and pass by gateways whose health is not
// SERVING. Give each RPC a deadline: without one it waits as long as no gateway is there.
//
// What is sent again, with growing pauses within the RPC's deadline (30 s where it has none):
//
//   - RPCs that change nothing, on UNAVAILABLE; a stream of these as long as it has told nothing.
//   - Any RPC that a gateway refused with RetryInfo, which says that nothing was done.
//   - On UNAVAILABLE, also where it may have been done: RPCs of which a second time changes nothing (Hangup, Answer, Hold
//     and the like), and Originate with a request_id, by which FreeSWITCH itself refuses a second leg.
//
// Nothing else is: a Playback, SendDtmf or RunJob might happen twice, since the next gateway knows no request_id of the
// first one.
func Dial(target string, options ...Option) (*Client, error) {
	s := &settings{}
	for _, option := range options {
		option(s)
	}
	config, err := serviceConfig(s)
	if err != nil {
		return nil, err
	}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(transport(s)),
		grpc.WithDefaultServiceConfig(config),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithUserAgent("switchgate-go"),
	}
	if s.token != nil {
		dial = append(dial, grpc.WithPerRPCCredentials(bearer{s.token, !s.plaintext}))
	}
	if !s.noRetries {
		dial = append(dial, grpc.WithChainUnaryInterceptor(repeatUnary))
	}
	if strings.Contains(target, ",") {
		list := manual.NewBuilderWithScheme("switchgate-list")
		list.InitialState(resolver.State{Addresses: addresses(target)})
		dial = append(dial, grpc.WithResolvers(list))
		target = list.Scheme() + ":///" + target
	}
	conn, err := grpc.NewClient(target, append(dial, s.grpcOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("switchgate: %s: %w", target, err)
	}
	client := NewClient(conn)
	client.conn = conn
	return client, nil
}

func transport(s *settings) credentials.TransportCredentials {
	if s.plaintext {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(s.tls)
}

func addresses(list string) []resolver.Address {
	var found []resolver.Address
	for address := range strings.SplitSeq(list, ",") {
		address = strings.TrimSpace(address)
		host := address
		if at := strings.LastIndexByte(address, ':'); at > 0 {
			host = address[:at]
		}
		// Of each the certificate is asked for its own name, not for the list's.
		found = append(found, resolver.Address{Addr: address, ServerName: strings.Trim(host, "[]")})
	}
	return found
}

// serviceConfig says in gRPC's own terms how RPCs are spread and which may be sent again.
func serviceConfig(s *settings) (string, error) {
	config := map[string]any{"loadBalancingConfig": []any{map[string]any{"round_robin": map[string]any{}}}}
	if !s.noHealth {
		config["healthCheckConfig"] = map[string]any{"serviceName": ""}
	}
	methods := []any{map[string]any{"name": []any{map[string]any{}}, "waitForReady": !s.failFast}}
	if !s.noRetries {
		methods = append(methods, map[string]any{
			"name":         reads(),
			"waitForReady": !s.failFast,
			"retryPolicy": map[string]any{
				"maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
				"retryableStatusCodes": []string{"UNAVAILABLE"},
			},
		})
	}
	config["methodConfig"] = methods
	text, err := json.Marshal(config)
	return string(text), err
}

// reads are the RPCs that change nothing, as the proto files say.
func reads() []any {
	var names []any
	for _, method := range methods() {
		if changesNothing(method) {
			name := map[string]any{"service": string(method.Parent().FullName()), "method": string(method.Name())}
			names = append(names, name)
		}
	}
	return names
}

func methods() []protoreflect.MethodDescriptor {
	files := []protoreflect.FileDescriptor{
		switchgatev1.File_switchgate_v1_session_service_proto, switchgatev1.File_switchgate_v1_call_service_proto,
		switchgatev1.File_switchgate_v1_job_service_proto, switchgatev1.File_switchgate_v1_event_service_proto,
		switchgatev1.File_switchgate_v1_node_service_proto,
	}
	var all []protoreflect.MethodDescriptor
	for _, file := range files {
		for service := range file.Services().Len() {
			of := file.Services().Get(service).Methods()
			for method := range of.Len() {
				all = append(all, of.Get(method))
			}
		}
	}
	return all
}

func changesNothing(method protoreflect.MethodDescriptor) bool {
	options, ok := method.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

// bearer sends a token as the header `authorization`.
type bearer struct {
	token  func(context.Context) (string, error)
	secure bool
}

func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := b.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("the token cannot be had: %w", err)
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

func (b bearer) RequireTransportSecurity() bool { return b.secure }
