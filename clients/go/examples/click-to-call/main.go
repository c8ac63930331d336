// Command click-to-call rings an agent, then the customer, and lets them talk. Ctrl-C hangs both up, whoever rings.
//
//	go run ./examples/click-to-call -agent user/1000 -customer sofia/gateway/carrier/15551234
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	switchgate "github.com/switchgate/switchgate/clients/go"
	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
	"github.com/switchgate/switchgate/clients/go/internal/example"
)

var (
	agent    = flag.String("agent", "sofia/internal/answer@127.0.0.1", "dial string of the agent")
	customer = flag.String("customer", "sofia/internal/tone@127.0.0.1", "dial string of the customer")
)

func main() { example.Run(connect) }

func connect(ctx context.Context, client *switchgate.Client) error {
	ringing, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	leg, err := client.OriginateWithProgress(ringing,
		&switchgatev1.OriginateRequest{Endpoints: []string{*agent}, CallerIdName: "Click to call"},
		func(told *switchgatev1.OriginateStreamResponse) {
			if told.GetProgressed() != nil {
				fmt.Println("the agent's phone rings")
			}
		})
	if err != nil {
		return why("the agent", err)
	}
	fmt.Println("the agent is there:", leg.GetSessionId())
	defer hangUp(client, leg.GetSessionId())

	bridged, err := client.Sessions.Bridge(ringing, &switchgatev1.BridgeRequest{
		SessionId: leg.GetSessionId(), Peer: &switchgatev1.BridgeRequest_Endpoint{Endpoint: *customer},
	})
	if err != nil {
		return why("the customer", err)
	}
	fmt.Println("they talk:", bridged.GetPeer().GetSessionId())
	return talk(ctx, client, bridged.GetPeer().GetSessionId())
}

// talk waits until the customer is gone, which is also so when the agent hangs up. The agent's leg would stay, parked.
func talk(ctx context.Context, client *switchgate.Client, customer string) error {
	watch, err := client.Sessions.WatchSession(ctx, &switchgatev1.WatchSessionRequest{SessionId: customer})
	if err != nil {
		return err
	}
	for {
		if _, err := watch.Recv(); errors.Is(err, io.EOF) {
			fmt.Println("the call has ended")
			return nil
		} else if err != nil {
			return err
		}
	}
}

// hangUp works also when the program was told to stop.
func hangUp(client *switchgate.Client, leg string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := client.Hangup(ctx, leg, switchgatev1.HangupCause_HANGUP_CAUSE_NORMAL_CLEARING); err != nil {
		fmt.Println("the agent may still be there:", err)
	}
}

func why(who string, err error) error {
	switch switchgate.Cause(err) {
	case switchgatev1.HangupCause_HANGUP_CAUSE_USER_BUSY:
		return fmt.Errorf("%s is busy", who)
	case switchgatev1.HangupCause_HANGUP_CAUSE_NO_ANSWER, switchgatev1.HangupCause_HANGUP_CAUSE_ORIGINATOR_CANCEL:
		return fmt.Errorf("%s does not answer", who)
	default:
		return fmt.Errorf("%s cannot be reached: %w", who, err)
	}
}
