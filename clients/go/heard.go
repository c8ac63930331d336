package switchgate

import (
	"slices"
	"time"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

const (
	// remembered is how many events are known again: minutes of a busy node.
	remembered = 1 << 15
	// slack allows for events that were fired in another order than their time stamps say.
	slack = time.Second
)

// onceInLife are events that a session has once: one that the gateway concludes tells nothing new when FreeSWITCH told it.
var onceInLife = []string{
	"CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER", "CHANNEL_HANGUP",
	"CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY",
}

// heard knows which events were told. FreeSWITCH numbers its events, so that they are the same at every gateway.
type heard struct {
	known map[identity]struct{}
	// The identities in their order, the oldest to go first once there are as many as are remembered.
	order []entry
	next  int
	// When the first message came, by this machine's clock.
	start time.Time
}

// identity is that of an event of FreeSWITCH (core, sequence), or of something that a session has once (name).
type identity struct {
	core, name, session string
	sequence            uint64
}

type entry struct {
	is   identity
	time time.Time
}

func newHeard() *heard { return &heard{known: map[identity]struct{}{}} }

// begin notes when the subscription began.
func (h *heard) begin() {
	if h.start.IsZero() {
		h.start = time.Now()
	}
}

// fresh are the events that were not told before. Only a journal that is read from its beginning tells events again.
func (h *heard) fresh(events []*switchgatev1.Event, replayed bool) []*switchgatev1.Event {
	fresh := events[:0:0]
	floor := h.floor()
	for _, event := range events {
		names := identities(event)
		if replayed {
			told := slices.ContainsFunc(names, func(name identity) bool {
				_, told := h.known[name]
				return told && (event.GetSynthetic() || name.name == "")
			})
			if told || !event.GetTime().AsTime().After(floor) {
				continue
			}
		}
		for _, name := range names {
			h.remember(name, event.GetTime().AsTime())
		}
		fresh = append(fresh, event)
	}
	if len(fresh) == 0 {
		return nil
	}
	return fresh
}

// floor is the time up to which everything was told, or was before the subscription.
func (h *heard) floor() time.Time {
	switch {
	case len(h.order) == 0:
		return h.start.Add(-slack)
	case len(h.order) < remembered:
		return h.order[0].time.Add(-slack)
	default:
		// No slack: what is told again for it would push out what is known, and so have all told again.
		return h.order[h.next].time
	}
}

func (h *heard) remember(is identity, at time.Time) {
	if _, known := h.known[is]; known {
		return
	}
	h.known[is] = struct{}{}
	if len(h.order) < remembered {
		h.order = append(h.order, entry{is, at})
		return
	}
	delete(h.known, h.order[h.next].is)
	h.order[h.next] = entry{is, at}
	h.next = (h.next + 1) % remembered
}

func identities(event *switchgatev1.Event) []identity {
	var names []identity
	if !event.GetSynthetic() {
		names = append(names, identity{core: event.GetCoreUuid(), sequence: event.GetSequence()})
	}
	if event.GetSessionId() != "" && slices.Contains(onceInLife, event.GetName()) {
		names = append(names, identity{session: event.GetSessionId(), name: event.GetName()})
	}
	return names
}
