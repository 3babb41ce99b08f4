package llmflow

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"
)

const patience = 60 * time.Second

// inbox is a server that takes spans as LLMFlow does, and keeps them.
type inbox struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []map[string]any
	headers []http.Header
	sizes   []int
	before  func(http.ResponseWriter, *http.Request) bool // answers in our place if it returns true
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	box := &inbox{}
	box.Server = httptest.NewServer(http.HandlerFunc(box.serve))
	t.Cleanup(box.Close)
	return box
}

func (b *inbox) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	before := b.before
	b.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	read, _ := io.ReadAll(r.Body)
	var told struct{ Spans []map[string]any }
	if r.URL.Path != "/api/spans" || json.Unmarshal(read, &told) != nil {
		http.Error(w, "no spans: "+r.URL.Path, http.StatusNotFound)
		return
	}
	b.mu.Lock()
	b.spans = append(b.spans, told.Spans...)
	b.headers = append(b.headers, r.Header)
	b.sizes = append(b.sizes, len(told.Spans))
	b.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"stored": %d, "rejected": 0, "results": []}`, len(told.Spans))
}

func (b *inbox) answer(before func(http.ResponseWriter, *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before = before
}

func (b *inbox) all() []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]map[string]any(nil), b.spans...)
}

func TestMain(m *testing.M) {
	// No test or example finds an LLMFlow that happens to run here.
	os.Setenv("LLMFLOW_SDK", "off")
	os.Exit(m.Run())
}

// newClient returns a client of the test's, untouched by the environment, which
// delivers when it is asked to.
func newClient(t *testing.T, config Config) *Client {
	t.Helper()
	for _, name := range []string{"LLMFLOW_URL", "LLMFLOW_TOKEN", "LLMFLOW_SDK", "LLMFLOW_SERVICE_NAME"} {
		t.Setenv(name, "")
	}
	if config.Logf == nil {
		config.Logf = t.Logf
	}
	client := New(config)
	if client.isOn() {
		client.sender.linger = time.Hour
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// connected returns a client and where its spans arrive.
func connected(t *testing.T) (*Client, *inbox) {
	t.Helper()
	box := newInbox(t)
	return newClient(t, Config{URL: box.URL}), box
}

func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// arrived returns all spans by their names.
func arrived(t *testing.T, client *Client, box *inbox) map[string]map[string]any {
	t.Helper()
	if err := client.Flush(patiently(t)); err != nil {
		t.Fatalf("not delivered: %v", err)
	}
	found := map[string]map[string]any{}
	for _, span := range box.all() {
		found[span["span_name"].(string)] = span
	}
	return found
}

// only returns the one span there is.
func only(t *testing.T, client *Client, box *inbox) map[string]any {
	t.Helper()
	found := arrived(t, client, box)
	if len(found) != 1 {
		t.Fatalf("one span should have come, not %v", found)
	}
	for _, span := range found {
		return span
	}
	return nil
}

func expect(t *testing.T, what string, found, wanted any) {
	t.Helper()
	a, _ := json.Marshal(found)
	b, _ := json.Marshal(wanted)
	if string(a) != string(b) {
		t.Errorf("%s is %s, not %s", what, a, b)
	}
}
