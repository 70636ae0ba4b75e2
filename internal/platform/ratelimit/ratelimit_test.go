package ratelimit

import (
	"fmt"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestABurstIsFreeAndThenEachFailureCostsAnInterval(t *testing.T) {
	c := New(20*time.Second, 3)
	for i := range 3 {
		if w := c.Wait("a", noon); w != 0 {
			t.Fatalf("after %d failures: wait %v", i, w)
		}
		c.Failed("a", noon)
	}
	if w := c.Wait("a", noon); w != 20*time.Second {
		t.Errorf("after the burst: wait %v", w)
	}
	if w := c.Wait("b", noon); w != 0 {
		t.Errorf("another key waits %v", w)
	}
	if w := c.Wait("a", noon.Add(20*time.Second)); w != 0 {
		t.Errorf("after the interval: wait %v", w)
	}
}

func TestMemoryIsBoundedAndTheLatestOffenderStaysKnown(t *testing.T) {
	c := New(time.Hour, 1)
	for i := range 3 * maxCounted {
		c.Failed(fmt.Sprint("flood", i), noon)
	}
	c.Failed("offender", noon)
	for i := range maxCounted - 1 {
		c.Failed(fmt.Sprint("more", i), noon)
	}
	if n := len(c.young) + len(c.old); n > 2*maxCounted {
		t.Errorf("%d counters", n)
	}
	if c.Wait("offender", noon) == 0 {
		t.Error("the offender was forgotten too soon")
	}
}

func TestASubscriberIsWhatOneLineGets(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "unix": "unix", "": "",
	} {
		if got := Subscriber(address); got != want {
			t.Errorf("%q became %q, want %q", address, got, want)
		}
	}
}
