// Command rolling replaces gateways under load: two over one simulated FreeSWITCH, calls placed and hung up through both
// by one client, each gateway stopped by SIGTERM and started again in turn.
//
//	go run ./internal/rolling [-rounds 3] [-pace 40ms] SWITCHGATE
//
// It fails when a call failed, had more than one leg, or its end was not told to each subscriber once.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	switchgate "github.com/switchgate/switchgate/clients/go"
	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

var (
	rounds = flag.Int("rounds", 3, "how often both gateways are replaced")
	pace   = flag.Duration("pace", 40*time.Millisecond, "time between two calls")
	quiet  = flag.Duration("quiet", time.Second, "how long both serve between two replacements")
	logs   = flag.String("log", "", "file for what the gateways log")
)

// calls is what came of them.
type calls struct {
	mutex             sync.Mutex
	sessions          []string
	failures          []string
	originate, hangup []time.Duration
	done              []time.Time
}

func main() {
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: rolling [-rounds N] [-pace D] SWITCHGATE")
		os.Exit(64)
	}
	if err := roll(flag.Arg(0)); err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func roll(binary string) error {
	var log *os.File
	if *logs != "" {
		file, err := os.Create(*logs)
		if err != nil {
			return err
		}
		defer file.Close()
		log = file
	}
	sim, err := simulator(binary, log)
	if err != nil {
		return err
	}
	defer sim.kill()
	var gateways []*process
	for range 2 {
		one, err := gateway(binary, sim.address, log)
		if err != nil {
			return err
		}
		defer one.kill()
		gateways = append(gateways, one)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// A connection each, as programs of their own would have.
	target := gateways[0].address + "," + gateways[1].address
	var clients [3]*switchgate.Client
	for at := range clients {
		client, err := switchgate.Dial(target, switchgate.WithPlaintext())
		if err != nil {
			return err
		}
		defer client.Close()
		clients[at] = client
	}
	listeners := []*listener{
		listen(ctx, clients[1], "by the oldest event", &switchgatev1.SubscribeStart{
			Position: &switchgatev1.SubscribeStart_Earliest{Earliest: &switchgatev1.StartEarliest{}},
		}),
		listen(ctx, clients[2], "by a snapshot", &switchgatev1.SubscribeStart{
			Position: &switchgatev1.SubscribeStart_Snapshot{Snapshot: &switchgatev1.StartSnapshot{}},
		}),
	}
	load, stop := context.WithCancel(ctx)
	results, finished := &calls{}, make(chan struct{})
	go func() {
		defer close(finished)
		results.place(load, clients[0])
	}()
	stops, err := replace(gateways)
	stop()
	<-finished
	if err != nil {
		return err
	}
	return results.judge(listeners, stops)
}

// replace ends each gateway and starts it again, in turn, and says how long their stops took.
func replace(gateways []*process) ([]time.Duration, error) {
	var stops []time.Duration
	time.Sleep(*quiet)
	for range *rounds {
		for _, gateway := range gateways {
			began := time.Now()
			if err := gateway.stop(); err != nil {
				return nil, fmt.Errorf("a gateway did not stop in order: %w", err)
			}
			stops = append(stops, time.Since(began))
			if err := gateway.startGateway(); err != nil {
				return nil, err
			}
			time.Sleep(*quiet)
		}
	}
	return stops, nil
}

// place places calls at their pace until ctx ends, and waits for the last ones.
func (c *calls) place(ctx context.Context, client *switchgate.Client) {
	ticker := time.NewTicker(*pace)
	defer ticker.Stop()
	var group sync.WaitGroup
	defer group.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			group.Go(func() { c.one(client) })
		}
	}
}

func (c *calls) one(client *switchgate.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	began := time.Now()
	session, err := client.Originate(ctx, &switchgatev1.OriginateRequest{Endpoints: []string{"sim/ring_answer?ring=200ms"}})
	answered := time.Now()
	if err == nil {
		_, err = client.Hangup(ctx, session.GetSessionId(), switchgatev1.HangupCause_HANGUP_CAUSE_NORMAL_CLEARING)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if err != nil {
		c.failures = append(c.failures, err.Error())
		return
	}
	c.sessions = append(c.sessions, session.GetSessionId())
	c.originate = append(c.originate, answered.Sub(began))
	c.hangup = append(c.hangup, time.Since(answered))
	c.done = append(c.done, time.Now())
}

// judge tells the figures, and what is not as it should be.
func (c *calls) judge(listeners []*listener, stops []time.Duration) error {
	fmt.Printf("%d calls, %d failed, %d gateways replaced, longest stop %v\n",
		len(c.sessions), len(c.failures), len(stops), slices.Max(stops).Round(time.Millisecond))
	fmt.Println("originate", quantiles(c.originate), "(rings for 200 ms)")
	fmt.Println("hangup   ", quantiles(c.hangup))
	var longest time.Duration
	for at := 1; at < len(c.done); at++ {
		longest = max(longest, c.done[at].Sub(c.done[at-1]))
	}
	fmt.Println("longest time without a call that was done:", longest.Round(time.Millisecond))
	var wrong []string
	for _, failure := range c.failures {
		wrong = append(wrong, "a call failed: "+failure)
	}
	for _, listener := range listeners {
		listener.settled(c.sessions)
		once, never, more := listener.told(c.sessions)
		fmt.Printf("%s; ends told once %d, never %d, more often %d\n", listener, once, never, more)
		if never+more > 0 || listener.err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: never %d, more often %d, %v", listener.name, never, more, listener.err))
		}
	}
	legs, twice := listeners[0].legs()
	fmt.Printf("legs that FreeSWITCH made: %d, told twice: %d\n", legs, twice)
	if legs != len(c.sessions) || twice > 0 {
		wrong = append(wrong, fmt.Sprintf("%d legs for %d calls, %d told twice", legs, len(c.sessions), twice))
	}
	if len(wrong) > 0 || len(c.sessions) == 0 {
		return fmt.Errorf("%d calls: %v", len(c.sessions), wrong)
	}
	return nil
}

func quantiles(of []time.Duration) string {
	if len(of) == 0 {
		return "-"
	}
	sorted := slices.Sorted(slices.Values(of))
	at := func(part float64) time.Duration {
		return sorted[int(part*float64(len(sorted)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, most %v", at(0.5), at(0.99), at(1))
}
