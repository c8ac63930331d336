// Command ivr answers calls that are parked, plays a greeting, collects a digit and transfers the caller by it. Send calls
// to it by parking them in the dial plan:
//
//	<extension name="ivr"><condition field="destination_number" expression="^5000$"><action application="park"/></condition></extension>
//
//	go run ./examples/ivr -context default 1=1000 2=1001
package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	switchgate "github.com/switchgate/switchgate/clients/go"
	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
	"github.com/switchgate/switchgate/clients/go/internal/example"
)

var (
	dialplan = flag.String("context", "default", "context of the dial plan to which callers are transferred")
	greeting = flag.String("greeting", "tone_stream://L=1;%(500,100,440)", "what callers hear first")
	prompt   = flag.String("prompt", "tone_stream://L=1;%(3000,0,480)", "what asks them for a digit")
	// longest is how long one caller may take for all of it.
	longest = flag.Duration("longest", 2*time.Minute, "how long a caller may take")
)

func main() { example.Run(serve) }

// serve takes each inbound leg that is parked, one goroutine each.
func serve(ctx context.Context, client *switchgate.Client) error {
	menu := map[string]string{}
	for _, entry := range flag.Args() {
		if digit, number, ok := strings.Cut(entry, "="); ok {
			menu[digit] = number
		}
	}
	subscription := client.Subscribe(ctx, &switchgatev1.SubscribeRequest{
		Filter: &switchgatev1.EventFilter{
			EventNames: []string{"CHANNEL_PARK"},
			Headers: []*switchgatev1.HeaderMatcher{{
				Name: "Call-Direction", Test: &switchgatev1.HeaderMatcher_Exact{Exact: "inbound"},
			}},
		},
		HeaderSelection: &switchgatev1.HeaderSelection{
			Selection: &switchgatev1.HeaderSelection_None{None: &switchgatev1.NoHeaders{}},
		},
	})
	fmt.Println("waiting for calls")
	taken := map[string]bool{}
	for update, err := range subscription.All() {
		if err != nil {
			return err
		}
		for _, event := range update.Events {
			// A leg is parked again when it comes back from an application.
			if leg := event.GetSessionId(); !taken[leg] {
				taken[leg] = true
				go func() { report(leg, take(ctx, client, leg, menu)) }()
			}
		}
	}
	return nil
}

func take(ctx context.Context, client *switchgate.Client, leg string, menu map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, *longest)
	defer cancel()
	if _, err := client.Sessions.Answer(ctx, &switchgatev1.AnswerRequest{SessionId: leg}); err != nil {
		return err
	}
	if _, err := client.Sessions.Playback(ctx, &switchgatev1.PlaybackRequest{
		SessionId: leg, Files: []string{*greeting}, WaitFor: switchgatev1.PlaybackWait_PLAYBACK_WAIT_COMPLETED,
	}); err != nil {
		return err
	}
	dialled, err := client.Sessions.CollectDigits(ctx, &switchgatev1.CollectDigitsRequest{
		SessionId: leg, MaxDigits: 1, Tries: 3, Prompt: *prompt, Timeout: durationpb.New(5 * time.Second),
	})
	if err != nil {
		return err
	}
	number, ok := menu[dialled.GetDigits()]
	if !ok {
		fmt.Printf("%s dialled %q, which leads nowhere\n", leg, dialled.GetDigits())
		_, err := client.Hangup(ctx, leg, switchgatev1.HangupCause_HANGUP_CAUSE_NORMAL_CLEARING)
		return err
	}
	_, err = client.Sessions.Transfer(ctx, &switchgatev1.TransferRequest{
		SessionId: leg, Extension: &switchgatev1.OriginateExtension{Number: number, Context: *dialplan},
	})
	if err == nil {
		fmt.Printf("%s dialled %s and goes to %s\n", leg, dialled.GetDigits(), number)
	}
	return err
}

func report(leg string, err error) {
	switch switchgate.Reason(err) {
	case switchgatev1.ErrorReason_ERROR_REASON_SESSION_ENDED, switchgatev1.ErrorReason_ERROR_REASON_SESSION_NOT_FOUND:
		fmt.Println(leg, "has hung up")
	default:
		if err != nil {
			fmt.Println(leg, err)
		}
	}
}
