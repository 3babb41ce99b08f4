package llmflow

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	postTimeout    = 5 * time.Second
	maxAnswerBytes = 1 << 20
	withheld       = "[withheld: the redaction hook failed]"
)

// outcome is what became of a batch.
type outcome struct {
	stored      int
	err         error
	isRetryable bool
}

type poster struct {
	client     *http.Client
	url, token string
}

// newHTTPClient makes connections that end with each batch: nothing stays open
// in a program that records little, and an LLMFlow that was restarted is found.
func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
		Timeout:   postTimeout,
		// What is recorded goes where the user said, nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (p poster) post(ctx context.Context, body []byte) outcome {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/api/spans", bytes.NewReader(body))
	if err != nil {
		return outcome{err: err, isRetryable: true}
	}
	request.Header.Set("Content-Type", "application/json")
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return outcome{err: err, isRetryable: true}
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes))
	if err != nil || isTransient(answer.StatusCode) {
		return outcome{err: fmt.Errorf("%s answers %s", request.URL.Redacted(), answer.Status), isRetryable: true}
	}
	var told struct{ Stored, Rejected *int }
	if json.Unmarshal(read, &told) != nil || told.Stored == nil || told.Rejected == nil {
		return outcome{err: fmt.Errorf("%s does not take spans (it answers %s)", request.URL.Redacted(), answer.Status)}
	}
	return outcome{stored: *told.Stored}
}

func isTransient(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// body returns a batch as POST /api/spans takes it.
func (s *sender) body(batch []waiting) []byte {
	var body bytes.Buffer
	body.WriteString(`{"spans":[`)
	for i, one := range batch {
		if s.redact != nil {
			s.prepare(one.span)
		}
		if i > 0 {
			body.WriteByte(',')
		}
		written, err := json.Marshal(one.span)
		if err != nil { // only a value of ours that is no JSON could do that
			written = []byte(`{"span_name":"a span that cannot be written"}`)
		}
		body.Write(written)
	}
	body.WriteString("]}")
	return body.Bytes()
}

// prepare lets the hook see what is in a span before it leaves.
func (s *sender) prepare(span *posted) {
	if span.Input != nil {
		span.Input = s.redacted("input", span.Input)
	}
	if span.Output != nil {
		span.Output = s.redacted("output", span.Output)
	}
	if span.Error != "" {
		span.Error = textIn(s.redacted("error", quoted(span.Error)))
	}
	if span.Attributes != nil {
		written, _ := json.Marshal(span.Attributes)
		kept := s.redacted("attributes", written)
		span.Attributes = nil
		if json.Unmarshal(kept, &span.Attributes) != nil {
			span.Attributes = map[string]content{"redacted": kept}
		}
	}
}

func (s *sender) redacted(part string, told content) (kept content) {
	kept = quoted(withheld)
	defer func() { _ = recover() }()
	var value any
	if json.Unmarshal(told, &value) == nil {
		kept = capture(s.redact(part, value), maxContentChars)
	}
	return kept
}
