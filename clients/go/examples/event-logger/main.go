// Command event-logger writes events as lines of JSON. With -state it keeps its cursor in a file, and goes on there when
// it is started again.
//
//	go run ./examples/event-logger -state cursor CHANNEL_ANSWER CHANNEL_HANGUP_COMPLETE
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	switchgate "github.com/switchgate/switchgate/clients/go"
	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
	"github.com/switchgate/switchgate/clients/go/internal/example"
)

var state = flag.String("state", "", "file that keeps the cursor")

func main() { example.Run(write) }

func write(ctx context.Context, client *switchgate.Client) error {
	request := &switchgatev1.SubscribeRequest{
		Filter: &switchgatev1.EventFilter{EventNames: flag.Args()},
	}
	cursor, err := load()
	if err != nil {
		return err
	}
	if cursor != "" {
		request.Start = &switchgatev1.SubscribeStart{Position: &switchgatev1.SubscribeStart_Cursor{Cursor: cursor}}
	}
	subscription := client.Subscribe(ctx, request, switchgate.OnReconnect(func(why error) {
		fmt.Fprintln(os.Stderr, "reconnecting:", why)
	}))
	for update, err := range subscription.All() {
		if err != nil {
			return err
		}
		switch {
		case update.Gap != nil:
			fmt.Fprintln(os.Stderr, "events are missing:", update.Gap.GetReason())
		case update.Moved != nil:
			fmt.Fprintln(os.Stderr, "the journal is another one:", update.Moved.Reason)
		}
		for _, event := range update.Events {
			line, err := protojson.Marshal(event)
			if err != nil {
				return err
			}
			fmt.Println(string(line))
		}
		// Behind the events: one that is written twice is better than one that is not.
		if err := save(update.Cursor); err != nil {
			return err
		}
	}
	return nil
}

func load() (string, error) {
	if *state == "" {
		return "", nil
	}
	text, err := os.ReadFile(*state)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

func save(cursor string) error {
	if *state == "" {
		return nil
	}
	return os.WriteFile(*state, []byte(cursor+"\n"), 0o600)
}
