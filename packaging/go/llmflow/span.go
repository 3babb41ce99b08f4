package llmflow

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

const (
	statusFailed  = 500
	statusStopped = 499 // no failure: somebody wanted an end
)

// Span is one timed operation, made by [Trace], [Start] or [Do]. All methods
// may be called on a nil Span, which records nothing, and after End, when they
// do nothing.
type Span struct {
	client                *Client
	traceID, id, parentID string
	started               time.Time
	noCapture             bool

	mu      sync.Mutex
	said    posted
	weight  int
	isEnded bool
}

// posted is a span as POST /api/spans takes it.
type posted struct {
	ID         string   `json:"id"`
	TraceID    string   `json:"trace_id"`
	ParentID   string   `json:"parent_id,omitempty"`
	Type       SpanType `json:"span_type"`
	Name       string   `json:"span_name"`
	StartTime  float64  `json:"start_time"`
	DurationMS float64  `json:"duration_ms"`
	TTFTMS     float64  `json:"ttft_ms,omitempty"`
	Input      content  `json:"input,omitempty"`
	Output     content  `json:"output,omitempty"`
	Error      string   `json:"error,omitempty"`
	Fields
	Attributes map[string]content `json:"attributes,omitempty"`
}

// ID returns the span's id: 16 hexadecimal digits.
func (s *Span) ID() string {
	if s == nil {
		return ""
	}
	return s.id
}

// TraceID returns the id of the span's trace: 32 hexadecimal digits, unless
// [Parent] said otherwise.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return s.traceID
}

// Set says something of the span. What is zero in fields stays as it was; tags
// and attributes are added.
func (s *Span) Set(fields Fields) {
	if s == nil {
		return
	}
	attributes := captureAll(fields.Attributes) // may run methods of the program's: not under the lock
	s.change(func() {
		s.said.merge(fields, attributes)
		s.addAttributes(attributes)
	})
}

// SetInput records what the operation was given, as encoding/json writes it,
// at once. What is longer than 256 K characters is cut, and marked so.
func (s *Span) SetInput(value any) {
	s.setContent(value, func() *content { return &s.said.Input })
}

// SetOutput records what came of the operation, as SetInput does.
func (s *Span) SetOutput(value any) {
	s.setContent(value, func() *content { return &s.said.Output })
}

func (s *Span) setContent(value any, place func() *content) {
	if s == nil || s.noCapture {
		return
	}
	kept := capture(value, maxContentChars)
	s.change(func() {
		old := place()
		s.weight += len(kept) - len(*old)
		*old = kept
	})
}

// Error records that the operation failed; nil says nothing. The status becomes
// 500, or 499 where a context was cancelled, unless one was set.
func (s *Span) Error(err error) {
	if s == nil || err == nil {
		return
	}
	status := statusFailed
	if errors.Is(err, context.Canceled) {
		status = statusStopped
	}
	s.fail(status, err)
}

func (s *Span) fail(status int, err error) {
	if s == nil {
		return
	}
	text, kind := textOf(err), fmt.Sprintf("%T", err)
	s.change(func() { s.note(status, text, kind) })
}

func (s *Span) note(status int, text, kind string) {
	s.said.Error = strings.Clone(cut(text, maxErrorChars))
	if s.said.Status == 0 || s.said.Status == statusStopped {
		s.said.Status = status
	}
	s.addAttributes(map[string]content{"exception.type": capture(kind, maxLabelChars)})
}

// End ends the span and hands it over for delivery; only the first call does.
// Deferred, it records a panic, which then goes on.
func (s *Span) End() {
	if s == nil {
		return
	}
	if cause := recover(); cause != nil {
		s.panicked(cause)
		defer panic(cause)
	}
	s.change(func() {
		s.isEnded = true
		took := time.Since(s.started)
		s.said.ID, s.said.TraceID, s.said.ParentID = s.id, s.traceID, s.parentID
		s.said.StartTime = float64(s.started.UnixNano()) / 1e6
		s.said.DurationMS = float64(took.Nanoseconds()) / 1e6
		sent := s.said
		// The contents are the sender's now; a context may keep the span for long.
		s.said = posted{Fields: Fields{
			SessionID: sent.SessionID, ConversationID: sent.ConversationID, UserID: sent.UserID,
		}}
		s.client.sender.put(waiting{&sent, s.weight + spanWeight})
	})
}

func (s *Span) panicked(cause any) {
	text, kind := "panic", fmt.Sprintf("%T", cause)
	if told, ok := cause.(error); ok {
		text = "panic: " + textOf(told)
	} else {
		text = "panic: " + textIn(capture(cause, maxErrorChars))
	}
	stack := capture(string(debug.Stack()), maxErrorChars)
	s.change(func() {
		s.note(statusFailed, text, kind)
		s.addAttributes(map[string]content{"exception.stacktrace": stack})
	})
}

// change does something to a span that has not ended.
func (s *Span) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isEnded {
		do()
	}
}

func (s *Span) addAttributes(told map[string]content) {
	for name, value := range told {
		name = label(name)
		if _, isKnown := s.said.Attributes[name]; !isKnown && len(s.said.Attributes) >= maxAttributes {
			continue
		}
		if s.said.Attributes == nil {
			s.said.Attributes = make(map[string]content, len(told))
		}
		s.said.Attributes[name] = value
		s.weight += len(name) + len(value)
	}
}

// inherit takes over from the span around this one what holds for all inside.
func (s *Span) inherit(parent *Span) {
	parent.mu.Lock()
	defer parent.mu.Unlock()
	from, to := &parent.said.Fields, &s.said.Fields
	to.SessionID, to.ConversationID, to.UserID = from.SessionID, from.ConversationID, from.UserID
}

// labels returns what inherit takes over.
func (s *Span) labels() (sessionID, conversationID, userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.SessionID, s.said.ConversationID, s.said.UserID
}

// textOf returns what an error says. Its method is the program's.
func textOf(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = "an error whose message cannot be shown"
		}
	}()
	return err.Error()
}
