package llmflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// switched returns an HTTP client that reaches whatever `place` holds, or nothing at all.
func switched(place *atomic.Value) *http.Client {
	client := newHTTPClient()
	client.Timeout = patience // the machine may be slow
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, place.Load().(string))
	}
	return client
}

const nowhere = "127.0.0.1:1"

func addressOf(box *inbox) string { return strings.TrimPrefix(box.URL, "http://") }

func send(client *Client, count int) {
	for i := 0; i < count; i++ {
		_, span := client.Start(context.Background(), Tool, fmt.Sprint("span ", i))
		span.End()
	}
}

// Spans wait while LLMFlow is away, and arrive once it is there (again), each once.
func TestDownAndRestarted(t *testing.T) {
	var place atomic.Value
	place.Store(nowhere)
	var said atomic.Int32
	client := newClient(t, Config{HTTPClient: switched(&place), Logf: func(string, ...any) { said.Add(1) }})
	for round := 1; round <= 2; round++ {
		send(client, 3)
		if err := client.Flush(patiently(t)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("nobody is there, and yet: %v", err)
		}
		expect(t, "waiting", client.Stats().Waiting, 3)
		box := newInbox(t)
		place.Store(addressOf(box))
		expect(t, "spans", len(arrived(t, client, box)), 3)
		expect(t, "times delivered", len(box.all()), 3)
		place.Store(nowhere)
		box.Close()
	}
	found := client.Stats()
	expect(t, "figures", []int{found.Sent, found.Dropped, found.Rejected, found.Waiting}, []int{6, 0, 0, 0})
	expect(t, "times it complained", said.Load(), 1)
}

// While LLMFlow is slow, spans end as ever; what there is no room for is dropped and counted.
func TestSlow(t *testing.T) {
	box := newInbox(t)
	arrivedThere, goOn := make(chan struct{}), make(chan struct{})
	var first sync.Once
	box.answer(func(http.ResponseWriter, *http.Request) bool {
		first.Do(func() { close(arrivedThere); <-goOn })
		return false
	})
	var place atomic.Value
	place.Store(addressOf(box))
	client := newClient(t, Config{HTTPClient: switched(&place), MaxSpans: 250})
	send(client, maxBatchSpans)
	<-arrivedThere
	send(client, 1000) // returns while the server holds the first batch back
	found := client.Stats()
	expect(t, "figures", []int{found.Sent, found.Waiting, found.Dropped}, []int{0, 250, 950})

	over, cancel := context.WithCancel(context.Background())
	cancel()
	expect(t, "flush without patience", errors.Is(client.Flush(over), context.Canceled), true)
	close(goOn)
	expect(t, "flush", client.Flush(patiently(t)), nil)
	expect(t, "arrived", len(box.all()), 250)
}

// What spans hold is bounded in bytes, too.
func TestBytes(t *testing.T) {
	var place atomic.Value
	place.Store(nowhere)
	client := newClient(t, Config{HTTPClient: switched(&place), MaxBytes: 100 * 1024})
	for i := 0; i < 10; i++ {
		_, span := client.Start(context.Background(), Tool, "large")
		span.SetOutput(strings.Repeat("x", 30*1024))
		span.End()
	}
	found := client.Stats()
	expect(t, "figures", []int{found.Waiting, found.Dropped}, []int{3, 7})
}

// What an answer says decides: to try again, to give up, or that it was stored.
func TestAnswers(t *testing.T) {
	for _, one := range []struct {
		status int
		body   string
		wanted Stats // after one flush
	}{
		{201, `{"stored": 2, "rejected": 0}`, Stats{Sent: 2}},
		{201, `{"stored": 1, "rejected": 1}`, Stats{Sent: 1, Rejected: 1}},
		{400, `{"stored": 0, "rejected": 2, "error": "no"}`, Stats{Rejected: 2}},
		{200, `<html>hello`, Stats{Rejected: 2, FailedAttempts: 1}},
		{401, `{"error": "token"}`, Stats{Rejected: 2, FailedAttempts: 1}},
		{302, ``, Stats{Rejected: 2, FailedAttempts: 1}},
		{503, `{"error": "full"}`, Stats{Waiting: 2, FailedAttempts: 1}},
		{500, `{"stored": 2, "rejected": 0}`, Stats{Waiting: 2, FailedAttempts: 1}},
		{429, ``, Stats{Waiting: 2, FailedAttempts: 1}},
	} {
		t.Run(fmt.Sprint(one.status, one.body), func(t *testing.T) {
			client, box := connected(t)
			var count atomic.Int32
			box.answer(func(w http.ResponseWriter, r *http.Request) bool {
				if count.Add(1) > 1 {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(one.status)
				fmt.Fprint(w, one.body)
				return true
			})
			send(client, 2)
			err := client.Flush(patiently(t))
			expect(t, "arrived", err == nil, one.wanted.Sent == 2)
			found := client.Stats()
			if found.FailedAttempts == 0 && one.wanted.FailedAttempts == 1 {
				found.FailedAttempts = 1 // told a moment after the batch was given up
			}
			expect(t, "figures", found, one.wanted)
			if one.wanted.Waiting > 0 {
				expect(t, "second try", client.Flush(patiently(t)), nil)
				expect(t, "arrived then", len(box.all()), 2)
			}
		})
	}
}

// Many spans go in few requests.
func TestBatches(t *testing.T) {
	client, box := connected(t)
	send(client, 1000)
	expect(t, "flush", client.Flush(patiently(t)), nil)
	expect(t, "sizes", box.sizes, []int{200, 200, 200, 200, 200})
}

// Spans arrive without anybody asking.
func TestBackground(t *testing.T) {
	client, box := connected(t)
	client.sender.linger = linger
	there := make(chan struct{})
	var once sync.Once
	box.answer(func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(there) })
		return false
	})
	send(client, 1)
	select {
	case <-there:
	case <-patiently(t).Done():
		t.Fatal("it never came")
	}
}

// Close delivers what waits; from then on everything is dropped.
func TestClose(t *testing.T) {
	client, box := connected(t)
	send(client, 5)
	expect(t, "close", client.sender.close(patience), nil)
	expect(t, "arrived", len(box.all()), 5)
	send(client, 2)
	expect(t, "figures", client.Stats(), Stats{Sent: 5, Dropped: 2})
	expect(t, "again", client.Close(), nil)
}

// Close does not wait for an LLMFlow that is away, and says what was lost.
func TestCloseInVain(t *testing.T) {
	var place atomic.Value
	place.Store(nowhere)
	client := newClient(t, Config{HTTPClient: switched(&place)})
	send(client, 3)
	err := client.sender.close(patience)
	if err == nil || !strings.Contains(err.Error(), "3 spans were lost") {
		t.Errorf("close says %v", err)
	}
	expect(t, "dropped", client.Stats().Dropped, 3)
}

// Close gives up on an answer that does not come.
func TestCloseWhileSlow(t *testing.T) {
	box := newInbox(t)
	goOn := make(chan struct{})
	box.answer(func(http.ResponseWriter, *http.Request) bool { <-goOn; return false })
	t.Cleanup(func() { close(goOn) })
	client := newClient(t, Config{URL: box.URL})
	send(client, 3)
	if err := client.sender.close(1); err == nil {
		t.Error("nothing can have arrived")
	}
	expect(t, "dropped", client.Stats().Dropped, 3)
}

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("in RoundTrip") }

// Neither a panicking HTTP client nor a panicking logger reaches the program.
func TestPanickingClient(t *testing.T) {
	client := newClient(t, Config{
		HTTPClient: &http.Client{Transport: panicking{}}, Logf: func(string, ...any) { panic("in Logf") },
	})
	send(client, 1)
	if err := client.Flush(patiently(t)); err == nil || !strings.Contains(err.Error(), "in RoundTrip") {
		t.Errorf("flush says %v", err)
	}
}

// An address that is none is a failure like any other.
func TestBadURL(t *testing.T) {
	client := newClient(t, Config{URL: "http://a b:c"})
	send(client, 1)
	if client.Flush(patiently(t)) == nil {
		t.Error("it cannot have arrived")
	}
}
