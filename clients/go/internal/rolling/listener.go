package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	switchgate "github.com/switchgate/switchgate/clients/go"
	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

// listener is a subscriber that counts how often it is told of the begin and the end of each session.
type listener struct {
	name string

	mutex         sync.Mutex
	created, ends map[string]int
	// Ends that a snapshot told, and the sessions in the last one.
	found, seen map[string]bool
	// Sessions of which a snapshot told the end by their absence.
	gone              int
	moves, reconnects int
	gaps              []string
	err               error
}

func listen(ctx context.Context, client *switchgate.Client, name string, start *switchgatev1.SubscribeStart) *listener {
	l := &listener{name: name, created: map[string]int{}, ends: map[string]int{}, found: map[string]bool{}, seen: map[string]bool{}}
	request := &switchgatev1.SubscribeRequest{
		Filter: &switchgatev1.EventFilter{EventNames: []string{"CHANNEL_CREATE", "CHANNEL_HANGUP_COMPLETE"}},
		HeaderSelection: &switchgatev1.HeaderSelection{
			Selection: &switchgatev1.HeaderSelection_None{None: &switchgatev1.NoHeaders{}},
		},
		Start: start,
	}
	subscription := client.Subscribe(ctx, request, switchgate.OnReconnect(func(error) {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		l.reconnects++
	}))
	go func() {
		for update, err := range subscription.All() {
			l.take(update, err)
		}
	}()
	return l
}

func (l *listener) take(update *switchgate.Update, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err != nil {
		l.err = err
		return
	}
	for _, event := range update.Events {
		id := event.GetSessionId()
		if event.GetName() == "CHANNEL_CREATE" {
			// A gateway that starts tells so of what it finds.
			if !event.GetSynthetic() || l.created[id] == 0 {
				l.created[id]++
			}
			continue
		}
		if l.ends[id]++; l.found[id] {
			l.ends[id]++
		}
	}
	for _, session := range update.Snapshot.GetSessions() {
		id := session.GetSessionId()
		l.seen[id] = true
		if session.GetHangup() != nil && l.ends[id] == 0 {
			l.found[id] = true
		}
	}
	if update.Moved != nil {
		l.moves++
		l.seen = map[string]bool{}
	}
	if update.SnapshotEnd != nil {
		// What was there and is no more has ended, as a list of live calls would take it.
		for id := range l.created {
			if !l.seen[id] && !l.found[id] && l.ends[id] == 0 {
				l.found[id] = true
				l.gone++
			}
		}
	}
	if update.Gap != nil {
		l.gaps = append(l.gaps, update.Gap.GetReason().String())
	}
}

// told says how many of these sessions it heard the end of once, never, and more than once.
func (l *listener) told(sessions []string) (once, never, more int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, id := range sessions {
		switch count := l.ends[id]; {
		case count == 1 || count == 0 && l.found[id]:
			once++
		case count == 0:
			never++
		default:
			more++
		}
	}
	return once, never, more
}

// legs is how many sessions began, and how many of them were told of twice.
func (l *listener) legs() (legs, twice int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, count := range l.created {
		if count > 1 {
			twice++
		}
	}
	return len(l.created), twice
}

// settled waits until it has heard the end of all these sessions, or nothing more comes.
func (l *listener) settled(sessions []string) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, never, _ := l.told(sessions); never == 0 {
			return
		}
	}
}

func (l *listener) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return fmt.Sprintf("%s: reconnected %d times, to another journal %d times, gaps %v, %d missing in a snapshot",
		l.name, l.reconnects, l.moves, l.gaps, l.gone)
}
