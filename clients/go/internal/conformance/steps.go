package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// patience is how long a step may take that says nothing else.
const patience = 10 * time.Second

type scenario struct {
	Tokens map[string]string `json:"tokens"`
	Cases  []testCase        `json:"cases"`
}

type testCase struct {
	Name  string `json:"name"`
	Steps []step `json:"steps"`
}

type step struct {
	RPC       string            `json:"rpc"`
	Start     string            `json:"start"`
	Next      string            `json:"next"`
	Until     string            `json:"until"`
	Cancel    string            `json:"cancel"`
	Finish    string            `json:"finish"`
	Rest      bool              `json:"rest"`
	Reconnect bool              `json:"reconnect"`
	As        string            `json:"as"`
	Deadline  float64           `json:"deadline"`
	Request   map[string]any    `json:"request"`
	Expect    map[string]any    `json:"expect"`
	Save      map[string]string `json:"save"`
}

// runner is what one case has come to.
type runner struct {
	address string
	tokens  map[string]string
	conn    *grpc.ClientConn
	saved   map[string]string
	calls   map[string]*call
}

func run(address string, tokens map[string]string, each testCase) error {
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	r := &runner{address: address, tokens: tokens, saved: map[string]string{"run": "r" + hex.EncodeToString(id)}}
	if err := r.connect(); err != nil {
		return err
	}
	defer r.disconnect()
	for at, step := range each.Steps {
		if err := r.step(step); err != nil {
			return fmt.Errorf("step %d: %w", at+1, err)
		}
	}
	return nil
}

func (r *runner) connect() error {
	conn, err := grpc.NewClient(r.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	r.conn, r.calls = conn, map[string]*call{}
	return err
}

func (r *runner) disconnect() {
	for _, call := range r.calls {
		call.leave()
	}
	r.conn.Close()
}

func (r *runner) step(step step) error {
	expected, _ := fill(step.Expect, r.saved).(map[string]any)
	switch {
	case step.Reconnect:
		r.disconnect()
		return r.connect()
	case step.Start != "":
		call, err := r.begin(step, 0)
		if err == nil {
			r.calls[step.Start] = call
		}
		return err
	case step.RPC != "":
		call, err := r.begin(step, patience)
		if err != nil {
			return err
		}
		defer call.leave()
		return r.end(call, step, expected)
	}
	name := step.Next + step.Until + step.Cancel + step.Finish
	call, ok := r.calls[name]
	if !ok {
		return fmt.Errorf("nothing was started as %q", name)
	}
	switch {
	case step.Cancel != "":
		call.leave()
		return nil
	case step.Finish != "":
		return r.end(call, step, expected)
	}
	return r.read(call, step, expected)
}

// end waits for the end of a call and looks at its outcome.
func (r *runner) end(call *call, step step, expected map[string]any) error {
	outcome, err := call.outcome(step.Rest)
	if err != nil {
		return err
	}
	if _, ok := expected["code"]; !ok {
		if expected == nil {
			expected = map[string]any{}
		}
		expected["code"] = "OK"
	}
	// First of all the code: it tells most.
	if why := fit(expected["code"], outcome["code"], "code"); why != "" {
		return fmt.Errorf("%s (%s)", why, text(outcome))
	}
	if why := fit(expected, outcome, ""); why != "" {
		return fmt.Errorf("%s", why)
	}
	return r.save(step, outcome)
}

// read takes items of a stream: the next one, which must fit, or all until one fits.
func (r *runner) read(call *call, step step, expected map[string]any) error {
	timeout := time.After(patience)
	for {
		select {
		case item, ok := <-call.items:
			if !ok {
				outcome, err := call.outcome(true)
				if err != nil {
					return err
				}
				return fmt.Errorf("the stream ended: %s", text(outcome))
			}
			if aside(item, expected) {
				continue
			}
			why := fit(expected, item, "")
			if why == "" {
				return r.save(step, item)
			}
			if step.Next != "" {
				return fmt.Errorf("%s (%s)", why, text(item))
			}
		case <-timeout:
			return fmt.Errorf("nothing came that fits %s", text(expected))
		}
	}
}

func (r *runner) save(step step, document map[string]any) error {
	for _, name := range sorted(step.Save) {
		found, err := look(document, step.Save[name])
		if err != nil {
			return err
		}
		r.saved[name] = found
	}
	return nil
}

func (r *runner) begin(step step, deadline time.Duration) (*call, error) {
	if step.Deadline > 0 {
		deadline = time.Duration(step.Deadline * float64(time.Second))
	}
	as := step.As
	if as == "" {
		as = "admin"
	}
	request, _ := fill(step.Request, r.saved).(map[string]any)
	return begin(context.Background(), r.conn, step.RPC, r.tokens[as], request, deadline)
}

func sorted[V any](of map[string]V) []string {
	return slices.Sorted(maps.Keys(of))
}
