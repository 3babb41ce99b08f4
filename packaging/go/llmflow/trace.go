package llmflow

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"time"
)

// SpanType says what kind of work a span is; the dashboard shows and filters by
// it. Others than these are taken as [Custom].
type SpanType string

// The types that LLMFlow knows.
const (
	LLM       SpanType = "llm"
	Agent     SpanType = "agent"
	Chain     SpanType = "chain"
	Tool      SpanType = "tool"
	Retrieval SpanType = "retrieval"
	Embedding SpanType = "embedding"
	Rerank    SpanType = "rerank"
	Guardrail SpanType = "guardrail"
	Evaluator SpanType = "evaluator"
	Prompt    SpanType = "prompt"
	Event     SpanType = "event"
	Custom    SpanType = "custom"

	traceType SpanType = "trace"
)

// Option is said of a span as it begins: [Fields], [Parent] or
// [WithoutCapture].
type Option interface{ apply(*start) }

// start is what options can say of a span that begins.
type start struct {
	fields            []Fields
	traceID, parentID string
	noCapture         bool
}

type optionFunc func(*start)

func (f optionFunc) apply(s *start) { f(s) }

func (f Fields) apply(s *start) { s.fields = append(s.fields, f) }

// Parent carries on the trace of whoever sent these headers: x-trace-id and
// x-parent-id, or else traceparent. Headers without any change nothing.
func Parent(headers http.Header) Option {
	return optionFunc(func(s *start) {
		if traceID, parentID := idsIn(headers); traceID != "" {
			s.traceID, s.parentID = traceID, parentID
		}
	})
}

// WithoutCapture leaves out what SetInput and SetOutput of this span are given.
func WithoutCapture() Option {
	return optionFunc(func(s *start) { s.noCapture = true })
}

type spanKey struct{}

// Current returns the span that ctx carries, or nil.
func Current(ctx context.Context) *Span {
	if ctx == nil {
		return nil
	}
	span, _ := ctx.Value(spanKey{}).(*Span)
	return span
}

// clientOf returns the client of the span we are in: what is called by a
// program that has its own client records there, too.
func clientOf(ctx context.Context) *Client {
	if span := Current(ctx); span != nil {
		return span.client
	}
	return Default()
}

// Trace begins a trace of its own and returns a context that carries its span.
// End must be called on it.
func Trace(ctx context.Context, name string, options ...Option) (context.Context, *Span) {
	return clientOf(ctx).Trace(ctx, name, options...)
}

// Start begins a span inside the one that ctx carries, and returns a context
// that carries the new one. Without any it begins a trace. End must be called on
// it.
func Start(ctx context.Context, spanType SpanType, name string, options ...Option) (context.Context, *Span) {
	return clientOf(ctx).Start(ctx, spanType, name, options...)
}

// Do runs work in a span of its own. The error it returns and a panic are
// recorded, and go on as they came.
func Do(
	ctx context.Context, spanType SpanType, name string, work func(context.Context) error, options ...Option,
) error {
	return clientOf(ctx).Do(ctx, spanType, name, work, options...)
}

// Trace is the function [Trace], recording with this client.
func (c *Client) Trace(ctx context.Context, name string, options ...Option) (context.Context, *Span) {
	return c.begin(orBackground(ctx), nil, traceType, name, options)
}

// Start is the function [Start], recording with this client.
func (c *Client) Start(
	ctx context.Context, spanType SpanType, name string, options ...Option,
) (context.Context, *Span) {
	return c.begin(orBackground(ctx), Current(ctx), spanType, name, options)
}

// Do is the function [Do], recording with this client.
func (c *Client) Do(
	ctx context.Context, spanType SpanType, name string, work func(context.Context) error, options ...Option,
) (err error) {
	ctx, span := c.Start(ctx, spanType, name, options...)
	defer span.End()
	isOver := false
	defer func() {
		if !isOver {
			// A panic is told by End, which knows it; what remains is runtime.Goexit,
			// as of testing.T.FailNow, and in old Go a panic(nil), which End ends.
			err = errStopped
			span.fail(statusStopped, err)
		}
	}()
	err = work(ctx)
	isOver = true
	span.Error(err)
	return err
}

func (c *Client) begin(
	ctx context.Context, parent *Span, spanType SpanType, name string, options []Option,
) (context.Context, *Span) {
	if !c.isOn() {
		return ctx, nil
	}
	said := start{noCapture: c.config.NoCapture}
	if parent != nil {
		said.traceID, said.parentID = parent.traceID, parent.id
	}
	for _, option := range options {
		if option != nil {
			option.apply(&said)
		}
	}
	span := &Span{client: c, id: newID(8), noCapture: said.noCapture}
	span.traceID, span.parentID = said.traceID, said.parentID
	if span.traceID == "" {
		span.traceID = newID(16)
	}
	span.said.Name, span.said.Type = label(name), SpanType(label(string(spanType)))
	span.said.ServiceName = c.config.ServiceName
	if parent != nil && parent.traceID == span.traceID {
		span.inherit(parent)
	}
	for _, fields := range said.fields {
		span.Set(fields)
	}
	span.started = time.Now()
	return context.WithValue(ctx, spanKey{}, span), span
}

// newID returns an id as W3C Trace Context has them.
func newID(size int) string {
	var made [16]byte
	_, _ = rand.Read(made[:size]) // the systems Go runs on do not let it fail
	return hex.EncodeToString(made[:size])
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// errStopped is what becomes of work whose goroutine was ended.
var errStopped = errors.New("the goroutine was ended by runtime.Goexit")
