package llmflow

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
)

const defaultURL = "http://localhost:3000"

// Config says where spans go and what may be in them. What is left out is read
// from the environment or has the default that is named.
type Config struct {
	// URL is LLMFlow's dashboard: LLMFLOW_URL, or else http://localhost:3000.
	URL string
	// Token is needed where LLMFlow asks for one: LLMFLOW_TOKEN.
	Token string
	// ServiceName says which program this is: LLMFLOW_SERVICE_NAME.
	ServiceName string
	// Disabled turns everything off, as LLMFLOW_SDK=off does.
	Disabled bool
	// NoCapture leaves out what SetInput and SetOutput are given.
	NoCapture bool
	// Redact sees what is in a span before it leaves the process, and returns
	// what may leave. The part is "input", "output", "attributes" or "error",
	// the value as encoding/json decodes it. It runs on the goroutine that
	// delivers, and must not wait for it by Flush or Close; where it panics, the
	// content is left out.
	Redact func(part string, value any) any
	// MaxSpans is how many spans may wait for delivery: 4,000.
	MaxSpans int
	// MaxBytes is about how much memory they may hold: 32 MiB.
	MaxBytes int
	// HTTPClient delivers the spans: one without proxy, cookies or redirects,
	// which gives up after five seconds.
	HTTPClient *http.Client
	// Logf is told, once, that spans cannot be delivered: a line on stderr.
	Logf func(format string, args ...any)
}

// Client records spans and delivers them. Make one with [New], or use the
// functions of the package, which use [Default].
type Client struct {
	config Config
	sender *sender // nil where recording is off
}

// New returns a client. It starts nothing before the first span ends.
func New(config Config) *Client {
	config = config.complete()
	if config.Disabled {
		return &Client{config: config}
	}
	return &Client{config: config, sender: newSender(config)}
}

func (c Config) complete() Config {
	c.URL = firstOf(c.URL, os.Getenv("LLMFLOW_URL"), defaultURL)
	if !strings.Contains(c.URL, "://") {
		c.URL = "http://" + c.URL
	}
	c.URL = strings.TrimRight(c.URL, "/")
	c.Token = firstOf(c.Token, os.Getenv("LLMFLOW_TOKEN"))
	c.ServiceName = firstOf(c.ServiceName, os.Getenv("LLMFLOW_SERVICE_NAME"))
	switch strings.ToLower(strings.TrimSpace(os.Getenv("LLMFLOW_SDK"))) {
	case "off", "0", "false", "no":
		c.Disabled = true
	}
	if c.MaxSpans <= 0 {
		c.MaxSpans = maxWaitingSpans
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = maxWaitingBytes
	}
	if c.HTTPClient == nil {
		c.HTTPClient = newHTTPClient()
	}
	if c.Logf == nil {
		c.Logf = logToStderr
	}
	return c
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func (c *Client) isOn() bool { return c != nil && c.sender != nil }

// Flush sends what waits now, and returns once it has arrived. The error says
// why it has not: the context's, or what became of an attempt; spans that could
// not be delivered go on waiting.
func (c *Client) Flush(ctx context.Context) error {
	if !c.isOn() {
		return nil
	}
	return c.sender.flush(orBackground(ctx))
}

// Close sends what waits, for at most two seconds, and takes nothing more. The
// error says how many spans were lost. Call [Client.Flush] before it where two
// seconds may be too short.
func (c *Client) Close() error {
	if !c.isOn() {
		return nil
	}
	return c.sender.close(closeTimeout)
}

// Stats says what became of the spans so far.
func (c *Client) Stats() Stats {
	if !c.isOn() {
		return Stats{}
	}
	return c.sender.stats()
}

var standard struct {
	sync.Mutex
	client *Client
}

// Default returns the client that the functions of the package use. Unless
// [SetDefault] was called, it is made of the environment when first needed.
func Default() *Client {
	standard.Lock()
	defer standard.Unlock()
	if standard.client == nil {
		standard.client = New(Config{})
	}
	return standard.client
}

// SetDefault has the functions of the package use another client. The one
// before is not closed. With nil the next one is made of the environment.
func SetDefault(client *Client) {
	standard.Lock()
	defer standard.Unlock()
	standard.client = client
}

// Flush is [Client.Flush] of the default client.
func Flush(ctx context.Context) error { return Default().Flush(ctx) }

// Close is [Client.Close] of the default client; defer it in main. Neither
// os.Exit nor log.Fatal run what is deferred.
func Close() error { return Default().Close() }
