package llmflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Spans stand under the span of their context, siblings beside each other.
func TestTree(t *testing.T) {
	client, box := connected(t)
	ctx, root := client.Trace(context.Background(), "answer", Fields{SessionID: "s-7", UserID: "ada"})
	inside, search := Start(ctx, Tool, "search")
	_, fetch := Start(inside, Retrieval, "fetch")
	fetch.End()
	search.End()
	_, write := Start(ctx, LLM, "write", Fields{SessionID: "s-8"})
	write.End()
	root.End()
	_, other := client.Start(context.Background(), Custom, "other")
	other.End()

	found := arrived(t, client, box)
	for name, wanted := range map[string][]any{
		"answer": {nil, root.TraceID(), "trace", "s-7", "ada"},
		"search": {root.ID(), root.TraceID(), "tool", "s-7", "ada"},
		"fetch":  {search.ID(), root.TraceID(), "retrieval", "s-7", "ada"},
		"write":  {root.ID(), root.TraceID(), "llm", "s-8", "ada"},
		"other":  {nil, other.TraceID(), "custom", nil, nil},
	} {
		span := found[name]
		expect(t, name, []any{
			span["parent_id"], span["trace_id"], span["span_type"], span["session_id"], span["user_id"],
		}, wanted)
	}
	if other.TraceID() == root.TraceID() || !isHex(root.TraceID(), 32) || !isHex(root.ID(), 16) {
		t.Errorf("odd ids: %s/%s, %s/%s", root.TraceID(), root.ID(), other.TraceID(), other.ID())
	}
}

// Goroutines that share a context put their spans side by side under it, and may all say something of the same span.
func TestGoroutines(t *testing.T) {
	client, box := connected(t)
	ctx, root := client.Trace(context.Background(), "fan out")
	var group sync.WaitGroup
	for i := 0; i < 50; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			_ = Do(ctx, Tool, fmt.Sprint("worker ", i), func(ctx context.Context) error {
				root.Set(Fields{Attributes: map[string]any{fmt.Sprint("seen ", i): true}})
				Current(ctx).SetOutput(i)
				return client.Flush(ctx)
			})
		}(i)
	}
	group.Wait()
	root.End()
	found := arrived(t, client, box)
	expect(t, "count of spans", len(found), 51)
	expect(t, "count of attributes", len(found["fan out"]["attributes"].(map[string]any)), 50)
	for name, span := range found {
		if name != "fan out" {
			expect(t, "parent of "+name, span["parent_id"], root.ID())
		}
	}
}

// Do returns what its function returned, and the error is on the span.
func TestErrors(t *testing.T) {
	for _, one := range []struct {
		err    error
		status any
		text   any
		kind   any
	}{
		{nil, nil, nil, nil},
		{io.ErrUnexpectedEOF, 500, "unexpected EOF", "*errors.errorString"},
		{fmt.Errorf("asking: %w", context.Canceled), 499, "asking: context canceled", "*fmt.wrapError"},
		{context.DeadlineExceeded, 500, "context deadline exceeded", "context.deadlineExceededError"},
		{mute{}, 500, "an error whose message cannot be shown", "llmflow.mute"},
	} {
		client, box := connected(t)
		err := client.Do(context.Background(), Tool, "work", func(context.Context) error { return one.err })
		if !errors.Is(err, one.err) {
			t.Errorf("%v came back as %v", one.err, err)
		}
		span := only(t, client, box)
		attributes, _ := span["attributes"].(map[string]any)
		expect(t, "outcome", []any{span["status"], span["error"], attributes["exception.type"]},
			[]any{one.status, one.text, one.kind})
	}
}

type mute struct{}

func (mute) Error() string { panic("no words") }

// A panic is recorded and goes on as it came, out of Do and past a deferred End.
func TestPanic(t *testing.T) {
	cause := errors.New("lost the plot")
	for name, work := range map[string]func(*Client){
		"do": func(client *Client) {
			_ = client.Do(context.Background(), Agent, "work", func(context.Context) error { panic(cause) })
		},
		"end": func(client *Client) {
			_, span := client.Start(context.Background(), Agent, "work")
			defer span.End()
			panic(cause)
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, box := connected(t)
			func() {
				defer func() { expect(t, "same panic", recover() == any(cause), true) }()
				work(client)
			}()
			span := only(t, client, box)
			expect(t, "outcome", []any{span["status"], span["error"]}, []any{500, "panic: lost the plot"})
			stack := span["attributes"].(map[string]any)["exception.stacktrace"].(string)
			if !strings.Contains(stack, "trace_test.go") {
				t.Errorf("the stack does not say where: %s", stack)
			}
		})
	}
}

// Work whose goroutine is ended counts as stopped, not as done.
func TestGoexit(t *testing.T) {
	client, box := connected(t)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = client.Do(context.Background(), Tool, "work", func(context.Context) error {
			runtime.Goexit()
			return nil
		})
	}()
	<-over
	expect(t, "status", only(t, client, box)["status"], 499)
}

// A request's headers say whose trace is carried on; without any nothing changes.
func TestParent(t *testing.T) {
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, one := range []struct {
		headers       map[string]string
		trace, parent string
	}{
		{map[string]string{"traceparent": "00-" + trace + "-" + span + "-01"}, trace, span},
		{map[string]string{"x-trace-id": "run 7", "x-parent-id": "step 1"}, "run 7", "step 1"},
		{map[string]string{"x-trace-id": "run", "traceparent": "00-" + trace + "-" + span + "-01"}, "run", ""},
		{map[string]string{"traceparent": "00-" + trace + "-0000000000000000-01"}, "", ""},
		{map[string]string{"traceparent": "nonsense"}, "", ""},
		{map[string]string{"x-trace-id": strings.Repeat("x", 129)}, "", ""},
		{map[string]string{"x-trace-id": "l\u00f6we"}, "", ""},
		{nil, "", ""},
	} {
		headers := http.Header{}
		for name, value := range one.headers {
			headers.Set(name, value)
		}
		client, box := connected(t)
		ctx, root := client.Trace(context.Background(), "root", Parent(headers))
		_, inside := Start(ctx, Tool, "inside")
		inside.End()
		root.End()
		found := arrived(t, client, box)
		if one.trace == "" {
			one.trace = root.TraceID()
		}
		parent, _ := found["root"]["parent_id"].(string)
		expect(t, fmt.Sprint("place for ", one.headers), []any{found["root"]["trace_id"], parent},
			[]any{one.trace, one.parent})
		expect(t, "inside", found["inside"]["trace_id"], one.trace)
	}
}

// Where recording is off there are no spans; functions run and nothing is sent.
func TestOff(t *testing.T) {
	box := newInbox(t)
	for name, client := range map[string]*Client{
		"disabled": newClient(t, Config{URL: box.URL, Disabled: true}), "zero": {}, "none": nil,
	} {
		ctx, span := client.Trace(context.Background(), name)
		span.Set(Fields{Model: "m"})
		span.SetInput("in")
		span.SetOutput("out")
		span.Error(io.EOF)
		span.End()
		expect(t, name, []any{span == nil, span.ID(), span.TraceID(), len(Headers(ctx))}, []any{true, "", "", 0})
		ran := false
		err := client.Do(ctx, Tool, name, func(context.Context) error { ran = true; return io.EOF })
		expect(t, name, []any{ran, err == io.EOF}, []any{true, true})
		expect(t, name, []any{client.Flush(ctx), client.Stats(), client.Close()}, []any{nil, Stats{}, nil})
	}
	expect(t, "spans", len(box.all()), 0)
}

// The functions of the package record by the environment's client, or the one that was set.
func TestDefault(t *testing.T) {
	box := newInbox(t)
	t.Cleanup(func() { SetDefault(nil) })
	t.Setenv("LLMFLOW_URL", strings.TrimPrefix(box.URL, "http://")+"/")
	t.Setenv("LLMFLOW_TOKEN", "let me in")
	t.Setenv("LLMFLOW_SERVICE_NAME", "shop")
	t.Setenv("LLMFLOW_SDK", "on")
	SetDefault(nil)
	_, span := Trace(context.Background(), "by the environment")
	span.End()
	if err := Flush(patiently(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, "service", box.all()[0]["service_name"], "shop")
	expect(t, "token", box.headers[0].Get("Authorization"), "Bearer let me in")
	expect(t, "closing", Close(), nil)

	t.Setenv("LLMFLOW_SDK", " Off ")
	SetDefault(nil)
	_, span = Start(context.Background(), Tool, "off")
	expect(t, "span while off", span == nil, true)

	client, other := connected(t)
	SetDefault(client)
	expect(t, "work", Do(context.Background(), Tool, "set", func(context.Context) error { return nil }), nil)
	expect(t, "name", only(t, client, other)["span_name"], "set")
}

// A span begins without a context, too.
func TestNoContext(t *testing.T) {
	client, box := connected(t)
	var none context.Context
	ctx, span := client.Start(none, Tool, "alone")
	span.End()
	expect(t, "context", Current(ctx) == span, true)
	expect(t, "headers outside", len(Headers(none)), 0)
	expect(t, "name", only(t, client, box)["span_name"], "alone")
}
