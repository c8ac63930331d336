package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

// call is an RPC under way. A unary one has no items.
type call struct {
	cancel context.CancelFunc
	left   bool
	items  chan map[string]any
	done   chan struct{}
	// Written before done is closed.
	result map[string]any
	err    error
}

func begin(
	ctx context.Context, conn *grpc.ClientConn, rpc, token string, request map[string]any, deadline time.Duration,
) (*call, error) {
	service, name, _ := strings.Cut(rpc, "/")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("switchgate.v1." + service))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rpc, err)
	}
	method := found.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name))
	if method == nil {
		return nil, fmt.Errorf("%s: no such method", rpc)
	}
	input, output := message(method.Input()), message(method.Output())
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(body, input); err != nil {
		return nil, fmt.Errorf("%s: %w", rpc, err)
	}
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	var cancel context.CancelFunc
	if deadline > 0 {
		ctx, cancel = context.WithTimeout(ctx, deadline)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	c := &call{cancel: cancel, items: make(chan map[string]any, 1024), done: make(chan struct{})}
	path := "/switchgate.v1." + rpc
	if method.IsStreamingServer() {
		go c.stream(ctx, conn, path, input, output)
	} else {
		go func() {
			c.end(conn.Invoke(ctx, path, input, output), output)
		}()
	}
	return c, nil
}

func message(of protoreflect.MessageDescriptor) proto.Message {
	found, err := protoregistry.GlobalTypes.FindMessageByName(of.FullName())
	if err != nil {
		panic(err) // The generated code holds all messages of its services.
	}
	return found.New().Interface()
}

func (c *call) stream(ctx context.Context, conn *grpc.ClientConn, path string, input, output proto.Message) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path)
	if err == nil {
		if err = stream.SendMsg(input); err == nil || errors.Is(err, io.EOF) {
			err = stream.CloseSend()
		}
	}
	for err == nil {
		message := output.ProtoReflect().New().Interface()
		if err = stream.RecvMsg(message); err == nil {
			for _, item := range items(document(message)) {
				c.items <- item
			}
		}
	}
	close(c.items)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	c.end(err, nil)
}

// items are the events of a message one by one, or the message itself.
func items(message map[string]any) []map[string]any {
	batch, ok := message["events"].(map[string]any)
	if !ok {
		return []map[string]any{message}
	}
	var items []map[string]any
	events, _ := batch["events"].([]any)
	for _, event := range events {
		items = append(items, map[string]any{"cursor": message["cursor"], "event": event})
	}
	return items
}

// aside says whether an item tells of what can come at any time, and is not what is expected.
func aside(item, expected map[string]any) bool {
	for _, key := range []string{"checkpoint", "nodeState"} {
		_, is := item[key]
		if _, wanted := expected[key]; is && !wanted {
			return true
		}
	}
	return false
}

// end keeps what came of the call: its code, and the response or the facts of the error.
func (c *call) end(err error, response proto.Message) {
	defer close(c.done)
	ended := status.Convert(err)
	c.result = map[string]any{"code": codeName(ended.Code())}
	if err == nil && response != nil {
		c.result["response"] = document(response)
	}
	if err != nil {
		c.result["message"] = ended.Message()
	}
	for _, detail := range ended.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "switchgate" {
			facts := map[string]any{}
			for key, value := range info.GetMetadata() {
				facts[key] = value
			}
			c.result["reason"], c.result["metadata"] = info.GetReason(), facts
		}
	}
}

// leave cancels the call.
func (c *call) leave() {
	c.left = true
	c.cancel()
}

// outcome waits for the end. What a stream told and nobody read is an error, unless the rest may be anything or the
// client left.
func (c *call) outcome(rest bool) (map[string]any, error) {
	timeout := time.After(3 * patience)
	items := c.items
	for {
		select {
		case <-c.done:
			c.cancel()
			return c.result, nil
		case item, ok := <-items:
			if !ok {
				items = nil
				continue
			}
			if !aside(item, nil) && !rest && !c.left {
				return nil, fmt.Errorf("the stream told more: %s", text(item))
			}
		case <-timeout:
			return nil, errors.New("it did not end")
		}
	}
}

func document(message proto.Message) map[string]any {
	encoded, err := protojson.Marshal(message)
	if err != nil {
		panic(err) // A message that was received can be written.
	}
	var document map[string]any
	if err := json.Unmarshal(encoded, &document); err != nil {
		panic(err)
	}
	return document
}

// codeName is the name as the specification of gRPC has it, such as NOT_FOUND.
func codeName(code codes.Code) string {
	if code == codes.OK {
		return "OK"
	}
	if code == codes.Canceled {
		return "CANCELLED"
	}
	var name strings.Builder
	for at, letter := range code.String() {
		if at > 0 && letter >= 'A' && letter <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(letter)
	}
	return strings.ToUpper(name.String())
}
