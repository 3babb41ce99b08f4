package llmflow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"llmflow"
)

func search(context.Context) error { return nil }

// A trace with a step inside. In main, defer llmflow.Close() delivers the last
// spans.
func Example() {
	defer llmflow.Close()
	ctx, root := llmflow.Trace(context.Background(), "answer", llmflow.Fields{SessionID: "session-7", UserID: "ada"})
	defer root.End()
	root.SetInput("Why is the sky blue?")
	if err := llmflow.Do(ctx, llmflow.Tool, "search", search); err != nil {
		root.Error(err)
		return
	}
	root.SetOutput("Rayleigh scattering.")
}

// The error that work returns is recorded and comes back as it is.
func ExampleDo() {
	err := llmflow.Do(context.Background(), llmflow.Tool, "search", func(ctx context.Context) error {
		llmflow.Current(ctx).SetInput("sky")
		return errors.New("nothing found")
	})
	fmt.Println(err)
	// Output: nothing found
}

// A call that does not go through LLMFlow, with what it used.
func ExampleStart() {
	_, span := llmflow.Start(context.Background(), llmflow.LLM, "plan")
	defer span.End()
	span.SetInput([]map[string]string{{"role": "user", "content": "Plan the trip."}})
	span.Set(llmflow.Fields{
		Provider: "openai", Model: "gpt-4o-mini", PromptTokens: 120, CompletionTokens: 30,
		Attributes: map[string]any{"attempt": 1},
	})
}

// A handler carries on the trace of whoever called.
func ExampleParent() {
	http.HandleFunc("/plan", func(w http.ResponseWriter, r *http.Request) {
		ctx, span := llmflow.Start(r.Context(), llmflow.Agent, "plan", llmflow.Parent(r.Header))
		defer span.End()
		_ = search(ctx)
	})
}

// Calls of a client stand under the span of their context.
func ExampleTransport() {
	client := &http.Client{Transport: &llmflow.Transport{Hosts: []string{"localhost:8080"}}}
	ctx, root := llmflow.Trace(context.Background(), "answer")
	defer root.End()
	request, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost:8080/v1/chat/completions",
		bytes.NewBufferString(`{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}`))
	answer, err := client.Do(request)
	if err != nil {
		root.Error(err)
		return
	}
	defer answer.Body.Close()
}

// A client of its own, which leaves out what nobody should see.
func ExampleNew() {
	client := llmflow.New(llmflow.Config{
		URL: "http://llmflow.internal:3000",
		Redact: func(part string, value any) any {
			if text, ok := value.(string); ok {
				return strings.ReplaceAll(text, "4111111111111111", "[card]")
			}
			return value
		},
	})
	defer client.Close()
	ctx, root := client.Trace(context.Background(), "pay")
	defer root.End()
	_ = llmflow.Do(ctx, llmflow.Tool, "charge", search) // the client of ctx records it
}
