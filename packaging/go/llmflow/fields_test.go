package llmflow

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode/utf8"
)

// What is said of a span goes under the names of POST /api/spans.
func TestFields(t *testing.T) {
	client, box := connected(t)
	_, span := client.Start(context.Background(), LLM, "call", Fields{Model: "a", Tags: []string{"x", " x ", ""}})
	span.Set(Fields{
		Provider: "openai", Model: "gpt-4o", RequestModel: "gpt-4o-latest", Operation: "chat", ResponseID: "r-1",
		FinishReason: "stop", IsStream: true, PromptTokens: 12, CompletionTokens: 5, TotalTokens: 17, CachedTokens: 3,
		CacheWriteTokens: 1, ReasoningTokens: 2, EstimatedCost: USD(0), TTFT: 1500 * time.Microsecond,
		SessionID: "s", ConversationID: "c", UserID: "u", Tags: []string{"y"}, AgentName: "a", PromptName: "p",
		PromptVersion: "2", Tool: "t", ServiceName: "svc", Status: 418,
	})
	span.Set(Fields{}) // says nothing
	span.End()
	span.Set(Fields{Model: "too late"})
	span.End()

	found := only(t, client, box)
	start, duration := found["start_time"].(float64), found["duration_ms"].(float64)
	// In milliseconds; the clocks that both are taken from may be set meanwhile.
	if now := float64(time.Now().UnixMilli()); math.Abs(start-now) > 3600e3 || duration < 0 || duration > 3600e3 {
		t.Errorf("began %f, took %f; it is %f", start, duration, now)
	}
	for _, name := range []string{"id", "trace_id", "start_time", "duration_ms"} {
		delete(found, name)
	}
	expect(t, "span", found, map[string]any{
		"span_type": "llm", "span_name": "call", "provider": "openai", "model": "gpt-4o",
		"request_model": "gpt-4o-latest", "operation": "chat", "response_id": "r-1", "finish_reason": "stop",
		"is_stream": true, "prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17, "cached_tokens": 3,
		"cache_write_tokens": 1, "reasoning_tokens": 2, "estimated_cost": 0, "ttft_ms": 1.5, "session_id": "s",
		"conversation_id": "c", "user_id": "u", "tags": []string{"x", "y"}, "agent_name": "a", "prompt_name": "p",
		"prompt_version": "2", "tool": "t", "service_name": "svc", "status": 418,
	})
}

// A figure that cannot be becomes an attribute: LLMFlow would refuse the whole span.
func TestOddFigures(t *testing.T) {
	client, box := connected(t)
	_, span := client.Start(context.Background(), LLM, "call", Fields{
		PromptTokens: -1, Status: 1000, EstimatedCost: USD(math.Inf(1)), TTFT: -time.Second,
		Model: strings.Repeat("\u00f6", 300),
	})
	span.End()
	found := only(t, client, box)
	expect(t, "attributes", found["attributes"],
		map[string]any{"prompt_tokens": -1, "status": 1000, "estimated_cost": "+Inf"})
	expect(t, "model", found["model"], strings.Repeat("\u00f6", 256))
}

type odd struct{ kind string }

func (o odd) MarshalJSON() ([]byte, error) {
	if o.kind == "panic" {
		panic("in MarshalJSON")
	}
	return nil, errors.New("will not")
}

// A value is recorded as encoding/json writes it; what it cannot write is said, and nothing panics.
func TestContents(t *testing.T) {
	cycle := map[string]any{}
	cycle["self"] = cycle
	for name, one := range map[string]struct{ value, wanted any }{
		"text":   {"why?", "why?"},
		"bytes":  {[]byte("why?"), "why?"},
		"binary": {[]byte{0xff, 0xfe}, "<2 bytes>"},
		"raw":    {json.RawMessage(`{"a":[1]}`), map[string]any{"a": []int{1}}},
		"struct": {struct {
			Query string `json:"query"`
			Limit int
		}{"sky", 3}, map[string]any{"query": "sky", "Limit": 3}},
		"error":     {errors.New("no"), "no"},
		"nan":       {math.NaN(), "NaN"},
		"func":      {func() {}, "<func(): json: unsupported type: func()>"},
		"panics":    {odd{"panic"}, "<llmflow.odd: its JSON cannot be written: it panics>"},
		"fails":     {odd{}, "<llmflow.odd: json: error calling MarshalJSON for type llmflow.odd: will not>"},
		"surrogate": {"a\xffb", "a\ufffdb"},
	} {
		var kept any
		if err := json.Unmarshal(capture(one.value, maxContentChars), &kept); err != nil {
			t.Errorf("%s is no JSON: %v", name, err)
		}
		expect(t, name, kept, one.wanted)
	}
	if kept := textIn(capture(cycle, maxContentChars)); !strings.Contains(kept, "cycle") {
		t.Errorf("a cycle is %s", kept)
	}
}

// What is long is cut, says so, and keeps its shape as long as that can be afforded.
func TestLongContents(t *testing.T) {
	long := strings.Repeat("\u00f6", 1000)
	list := make([]int, 1500)
	for name, one := range map[string]struct {
		value any
		parts []string
	}{
		"text":   {long, []string{"… [1800 more bytes]"}},
		"bytes":  {[]byte(long), []string{"… [1800 more bytes]"}},
		"object": {map[string]any{"role": "user", "text": long}, []string{`"role":"user"`, `"text":"ö`, "more bytes]"}},
		"list":   {list, []string{`[0,0,0`, `more"]`}},
		"huge":   {map[string]any{"text": strings.Repeat("x", 100*maxDecoded)}, []string{`"{\"text`, "more bytes]"}},
		"names":  {map[string]int{strings.Repeat("a", 300): 1, strings.Repeat("b", 300): 2}, []string{`"…":"1 more"`}},
	} {
		kept := capture(one.value, 100)
		if !json.Valid(kept) || len(kept) > 1000 {
			t.Errorf("%s: %d bytes: %s", name, len(kept), kept)
		}
		for _, part := range one.parts {
			if !strings.Contains(string(kept), part) {
				t.Errorf("%s has no %s: %s", name, part, kept)
			}
		}
	}
}

// Whatever a text is, what is kept of it is JSON, and no longer than it may be.
func TestAnyText(t *testing.T) {
	holds := func(text string, data []byte, limit uint8) bool {
		for _, value := range []any{text, data, []any{text, data, text}, map[string]any{text: text, "data": data}} {
			kept := capture(value, int(limit))
			if !json.Valid(kept) || utf8.RuneCount(kept) > 12*(int(limit)+len(text)+20) {
				return false
			}
		}
		return true
	}
	if err := quick.Check(holds, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
}

// Contents are left out where the client or the span says so; the rest is recorded.
func TestNoCapture(t *testing.T) {
	box := newInbox(t)
	for _, one := range []struct {
		config Config
		option Option
	}{{Config{URL: box.URL, NoCapture: true}, nil}, {Config{URL: box.URL}, WithoutCapture()}} {
		client := newClient(t, one.config)
		_, span := client.Start(context.Background(), Tool, "quiet", one.option)
		span.SetInput("secret")
		span.SetOutput("secret")
		span.Set(Fields{Attributes: map[string]any{"kept": true}})
		span.End()
		found := only(t, client, box)
		expect(t, "contents", []any{found["input"], found["output"]}, []any{nil, nil})
		expect(t, "attributes", found["attributes"], map[string]any{"kept": true})
	}
}

// The hook sees everything a program said before it leaves; what it fails on is left out.
func TestRedact(t *testing.T) {
	box := newInbox(t)
	client := newClient(t, Config{URL: box.URL, Redact: func(part string, value any) any {
		switch part {
		case "input":
			return map[string]any{"was": value}
		case "error":
			return strings.ReplaceAll(value.(string), "4111", "[card]")
		case "attributes":
			return "none of it"
		}
		panic("what is this?")
	}})
	_, span := client.Start(context.Background(), Tool, "pay")
	span.SetInput([]int{1})
	span.SetOutput("secret")
	span.Set(Fields{Attributes: map[string]any{"card": "4111"}})
	span.Error(errors.New("card 4111 refused"))
	span.End()
	found := only(t, client, box)
	expect(t, "what left", []any{found["input"], found["output"], found["error"], found["attributes"]}, []any{
		map[string]any{"was": []int{1}}, withheld, "card [card] refused", map[string]any{"redacted": "none of it"},
	})
}

// However much is said of a span, it is bounded.
func TestBounds(t *testing.T) {
	client, box := connected(t)
	_, span := client.Start(context.Background(), Tool, "much")
	tags, attributes := make([]string, 100), map[string]any{}
	for i := 0; i < 300; i++ {
		tags[i%100] = strings.Repeat("t", i%100+1)
		attributes[strings.Repeat("a", i+1)] = i
	}
	span.Set(Fields{Tags: tags, Attributes: attributes})
	span.Error(errors.New(strings.Repeat("e", 2*maxErrorChars)))
	for i := 0; i < 100; i++ {
		span.SetOutput(strings.Repeat("o", maxContentChars))
	}
	span.End()
	found := only(t, client, box)
	expect(t, "lengths", []int{
		len(found["tags"].([]any)), len(found["error"].(string)), len(found["output"].(string)),
	}, []int{maxTags, maxErrorChars, maxContentChars})
	if count := len(found["attributes"].(map[string]any)); count > maxAttributes {
		t.Errorf("%d attributes", count)
	}
}
