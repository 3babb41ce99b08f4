// An agent with steps inside steps: five calls in one trace, three of them in
// goroutines, a tool before each of those.
//
//	llmflow demo                            # in another terminal; needs neither key nor network
//	cd docs/examples/go && go run . "Why is the sky blue?"
//
// With a key it is llmflow, and OPENAI_API_KEY. The trace is at
// http://localhost:3000. Where LLMFlow listens elsewhere, OPENAI_BASE_URL (its
// proxy, http://localhost:8080/v1) and LLMFLOW_URL (its dashboard) say so.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"llmflow"
)

var notes = map[string]string{
	"what is known":         "Settled since the 1870s.",
	"how it works":          "Short waves are scattered more than long ones.",
	"what people get wrong": "It is not a reflection of the sea.",
}

// Its calls stand under the span of their context.
var client = &http.Client{Transport: &llmflow.Transport{}}

func main() {
	question := strings.Join(os.Args[1:], " ")
	if question == "" {
		question = "Why is the sky blue?"
	}
	text, err := briefing(context.Background(), question)
	if lost := llmflow.Close(); lost != nil {
		fmt.Fprintln(os.Stderr, lost)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(text)
}

// briefing plans, researches three aspects at once, and writes.
func briefing(ctx context.Context, question string) (text string, err error) {
	ctx, root := llmflow.Trace(ctx, "briefing", llmflow.Fields{SessionID: "example", Tags: []string{"example"}})
	defer root.End()
	root.SetInput(question)
	defer func() {
		root.SetOutput(text)
		root.Error(err)
	}()
	outline, err := step(ctx, "plan", "Outline a briefing in three lines: "+question)
	if err != nil {
		return "", err
	}
	found, err := researchAll(ctx, question)
	if err != nil {
		return "", err
	}
	return step(ctx, "write", strings.Join(append([]string{"Write a briefing.", outline}, found...), "\n\n"))
}

// step asks the model in a span of its own.
func step(ctx context.Context, name, prompt string) (text string, err error) {
	err = llmflow.Do(ctx, llmflow.Chain, name, func(ctx context.Context) error {
		text, err = ask(ctx, prompt)
		llmflow.Current(ctx).SetOutput(text)
		return err
	})
	return text, err
}

func researchAll(ctx context.Context, question string) (found []string, err error) {
	var group sync.WaitGroup
	var mu sync.Mutex
	for aspect := range notes {
		group.Add(1)
		go func(aspect string) {
			defer group.Done()
			text, failure := research(ctx, question, aspect)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, text)
			if failure != nil {
				err = failure
			}
		}(aspect)
	}
	group.Wait()
	return found, err
}

// research finds out about one aspect.
func research(ctx context.Context, question, aspect string) (string, error) {
	ctx, span := llmflow.Start(ctx, llmflow.Agent, "research")
	defer span.End()
	span.Set(llmflow.Fields{Attributes: map[string]any{"aspect": aspect}})
	text, err := ask(ctx, fmt.Sprintf("%s Write a paragraph on %s. Our notes: %s", question, aspect, lookUp(ctx, aspect)))
	span.SetOutput(text)
	span.Error(err)
	return text, err
}

// lookUp finds our own notes; a real agent would search.
func lookUp(ctx context.Context, aspect string) string {
	_, span := llmflow.Start(ctx, llmflow.Tool, "look_up")
	defer span.End()
	span.SetInput(aspect)
	span.SetOutput(notes[aspect])
	return notes[aspect]
}

// ask asks the model; the call stands under the span of ctx.
func ask(ctx context.Context, prompt string) (string, error) {
	question, err := json.Marshal(map[string]any{
		"model":    "gpt-4o-mini",
		"messages": []map[string]string{{"role": "user", "content": prompt}},
	})
	if err != nil {
		return "", err
	}
	url := env("OPENAI_BASE_URL", "http://localhost:8080/v1") + "/chat/completions"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(question))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+env("OPENAI_API_KEY", "not-needed-by-the-demo"))
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var told struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.NewDecoder(answer.Body).Decode(&told); err != nil {
		return "", err
	}
	if len(told.Choices) == 0 {
		return "", fmt.Errorf("the model answers %s", answer.Status)
	}
	return told.Choices[0].Message.Content, nil
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
