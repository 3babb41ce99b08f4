package llmflow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	maxBatchSpans   = 200
	maxBatchBytes   = 4 << 20
	maxWaitingSpans = 4000
	maxWaitingBytes = 32 << 20
	linger          = time.Second // so long a span waits for others
	firstPause      = 500 * time.Millisecond
	maxPause        = 30 * time.Second
	closeTimeout    = 2 * time.Second
)

// Stats says what became of a client's spans.
type Stats struct {
	Waiting        int // for delivery, or under way
	Sent           int
	Dropped        int // there was no room for them here, or no time at the end
	Rejected       int // LLMFlow, or whoever is at its address, would not take them
	FailedAttempts int // to deliver a batch
}

// waiting is a span that waits, and about the bytes it holds.
type waiting struct {
	span   *posted
	weight int
}

// sender takes spans in and delivers them. Its goroutine runs while there is
// something to deliver, and no longer.
type sender struct {
	post     func(ctx context.Context, body []byte) outcome
	redact   func(part string, value any) any
	logf     func(format string, args ...any)
	maxSpans int
	maxBytes int
	linger   time.Duration
	posting  context.Context // ends when nothing more may be sent
	stop     context.CancelFunc

	mu        sync.Mutex
	changed   chan struct{} // closed, and made anew, whenever somebody may have waited for it
	queue     []waiting
	weight    int // of what waits and what is under way
	taken     int // spans ever taken in; those up to settled are delivered or lost
	settled   int
	hurry     int // no lingering for spans up to this one: somebody waits
	counts    Stats
	failure   error // of the last attempt
	isRunning bool
	isClosing bool
	hasSpoken bool
}

func newSender(config Config) *sender {
	posting, stop := context.WithCancel(context.Background())
	return &sender{
		post:     poster{config.HTTPClient, config.URL, config.Token}.post,
		redact:   config.Redact,
		logf:     config.Logf,
		maxSpans: config.MaxSpans,
		maxBytes: config.MaxBytes,
		linger:   linger,
		posting:  posting,
		stop:     stop,
		changed:  make(chan struct{}),
	}
}

// tell wakes whoever waits. The lock is held.
func (s *sender) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *sender) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.counts
	found.Waiting = s.taken - s.settled
	return found
}

// put takes a span; one that does not fit is dropped.
func (s *sender) put(one waiting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing || s.taken-s.settled >= s.maxSpans || s.weight+one.weight > s.maxBytes {
		s.counts.Dropped++
		return
	}
	s.queue = append(s.queue, one)
	s.weight += one.weight
	s.taken++
	if !s.isRunning {
		s.isRunning = true
		go s.run()
	} else if len(s.queue) == maxBatchSpans {
		s.tell()
	}
}

// flush waits until what has been taken so far has arrived, or an attempt fails.
func (s *sender) flush(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted, failed, lost := s.taken, s.counts.FailedAttempts, s.lost()
	if s.settled < wanted {
		s.hurry = wanted
		s.tell()
	}
	for s.settled < wanted && s.counts.FailedAttempts == failed {
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
	switch {
	case s.settled < wanted:
		return fmt.Errorf("llmflow: %d spans wait: %w", s.taken-s.settled, s.failure)
	case s.lost() > lost:
		return fmt.Errorf("llmflow: %d spans were lost: %w", s.lost()-lost, s.reason())
	}
	return nil
}

// reason says why spans were lost, as far as it is known.
func (s *sender) reason() error {
	if s.failure == nil {
		return errors.New("there was no room or no time for them")
	}
	return s.failure
}

func (s *sender) lost() int { return s.counts.Dropped + s.counts.Rejected }

// wait lets go of the lock until something has changed.
func (s *sender) wait(ctx context.Context) error {
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close sends what waits, for at most so long, and takes nothing more.
func (s *sender) close(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.stop() // under the lock: settle must know whether we have counted
	s.isClosing = true
	s.tell()
	for s.isRunning {
		if s.wait(ctx) != nil {
			break
		}
	}
	lost := s.taken - s.settled
	if lost == 0 {
		return nil
	}
	s.settled = s.taken
	s.counts.Dropped += lost
	s.queue, s.weight = nil, 0
	return fmt.Errorf("llmflow: %d spans were lost: %w", lost, s.reason())
}

// ── the goroutine ───────────────────────────────────────────────────────────

func (s *sender) run() {
	for batch := s.take(); batch != nil; batch = s.take() {
		body := s.body(batch)
		for pause := firstPause; !s.attempt(body, batch); pause *= 2 {
			if pause > maxPause {
				pause = maxPause
			}
			if !s.rest(pause) {
				s.leave()
				return
			}
		}
	}
}

// leave ends the goroutine with spans undelivered. close counts them.
func (s *sender) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isRunning = false
	s.tell()
}

// take waits for a batch worth sending. Where nothing waits there is none, and
// the goroutine is over.
func (s *sender) take() []waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), s.linger)
	defer cancel()
	for s.isLingering() {
		if s.wait(ctx) != nil {
			break
		}
	}
	count, weight := 0, 0
	for count < len(s.queue) && count < maxBatchSpans && weight < maxBatchBytes {
		weight += s.queue[count].weight
		count++
	}
	if count == 0 {
		s.isRunning = false
		s.tell()
		return nil
	}
	batch := append([]waiting(nil), s.queue[:count]...)
	s.queue = append([]waiting(nil), s.queue[count:]...) // the old array would keep its spans
	return batch
}

func (s *sender) isLingering() bool {
	return len(s.queue) > 0 && len(s.queue) < maxBatchSpans && s.settled >= s.hurry && !s.isClosing
}

// attempt posts a batch; false means that it is worth another attempt.
func (s *sender) attempt(body []byte, batch []waiting) bool {
	told := s.safely(body)
	if told.isRetryable {
		s.failed(told.err)
		return false
	}
	s.settle(batch, told)
	if told.err != nil {
		// Not LLMFlow, or not for us: the next batch waits as after a failure.
		s.failed(told.err)
		s.rest(maxPause)
	}
	return true
}

// safely posts. The client may be the program's, and panic.
func (s *sender) safely(body []byte) (told outcome) {
	defer func() {
		if cause := recover(); cause != nil {
			told = outcome{err: fmt.Errorf("the HTTP client panics: %v", cause), isRetryable: true}
		}
	}()
	return s.post(s.posting, body)
}

func (s *sender) settle(batch []waiting, told outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.posting.Err() != nil {
		return // close has counted them
	}
	s.settled += len(batch)
	for _, one := range batch {
		s.weight -= one.weight
	}
	s.counts.Sent += told.stored
	s.counts.Rejected += len(batch) - told.stored
	if told.err != nil {
		s.failure = told.err
	} else if told.stored < len(batch) {
		s.failure = errors.New("LLMFlow rejected them")
	}
	s.tell()
}

func (s *sender) failed(err error) {
	s.mu.Lock()
	s.counts.FailedAttempts++
	s.failure = err
	s.hurry = 0
	s.tell()
	speaks := !s.hasSpoken && !s.isClosing
	s.hasSpoken = s.hasSpoken || speaks
	s.mu.Unlock()
	if speaks {
		defer func() { _ = recover() }() // the logger may be the program's
		s.logf("%v: spans wait in memory, at most %d; LLMFLOW_SDK=off turns them off", err, s.maxSpans)
	}
}

// rest waits until the next attempt is due, or wanted now; false is the end.
func (s *sender) rest(pause time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), pause)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.isClosing && s.settled >= s.hurry {
		if s.wait(ctx) != nil {
			break
		}
	}
	return !s.isClosing
}

func logToStderr(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[llmflow] "+format+"\n", args...)
}
