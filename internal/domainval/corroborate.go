package domainval

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/domainval/perspective"
)

// A verdict is what one observation amounts to.
type verdict struct {
	ok        bool
	text      string        // one sentence for people
	temporary bool          // nothing was refused, but nothing could be seen either
	ttl       time.Duration // of the answers used
}

// A judge compares an observation with what is hoped for. The same one judges
// the primary and the remote perspectives.
type judge func(perspective.Observation) verdict

// A Corroboration is the outcome of looking from several perspectives (TLS BR
// 3.2.2.9, 5.4.1).
type Corroboration struct {
	Required int             `json:"required"` // remote perspectives that the rules ask for
	Used     int             `json:"used"`
	Agreed   int             `json:"agreed"`
	Regions  int             `json:"regions"` // of Internet registries among those that agreed
	Quorum   string          `json:"quorum"`  // agreed and used, such as "3/4"
	Met      bool            `json:"met"`
	Results  []CorroborateBy `json:"results"`
}

// A CorroborateBy is what one remote perspective found.
type CorroborateBy struct {
	Perspective string `json:"perspective"`
	Registry    string `json:"registry"`
	Agrees      bool   `json:"agrees"`
	Text        string `json:"text"`
}

// lookTime bounds the wait for a perspective that hangs.
const lookTime = 60 * time.Second

// corroborate has every remote perspective look at what the primary one has
// seen. It waits for all of them, each for a minute at most: one that hangs, is
// down or errs does not agree.
func (d *Desk) corroborate(ctx context.Context, q perspective.Question, j judge) Corroboration {
	c := Corroboration{Used: len(d.remotes), Results: make([]CorroborateBy, len(d.remotes))}
	var misses, regions int
	c.Required, misses, regions = Quorum(d.clock.Now(), c.Used)
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var wg sync.WaitGroup
	for i, r := range d.remotes {
		wg.Go(func() { c.Results[i] = ask(ctx, r, q, j) })
	}
	wg.Wait()
	registries := map[string]bool{}
	for _, r := range c.Results {
		if r.Agrees {
			c.Agreed++
			registries[r.Registry] = true
		}
	}
	c.Regions = len(registries)
	c.Quorum = fmt.Sprintf("%d/%d", c.Agreed, c.Used)
	c.Met = c.Used >= c.Required && c.Used-c.Agreed <= misses && (c.Regions >= regions || c.Required == 0)
	return c
}

func ask(ctx context.Context, p Perspective, q perspective.Question, j judge) CorroborateBy {
	place := p.Place()
	out := CorroborateBy{Perspective: place.Name, Registry: place.Registry}
	type answer struct {
		o   perspective.Observation
		err error
	}
	got := make(chan answer, 1)
	go func() { // so that one that ignores its context cannot hold us up
		o, err := p.Look(ctx, q)
		got <- answer{o, err}
	}()
	select {
	case a := <-got:
		if a.err != nil {
			out.Text = "It gave no usable answer: " + a.err.Error()
			return out
		}
		v := j(a.o)
		out.Agrees, out.Text = v.ok, v.text
	case <-ctx.Done():
		out.Text = "It did not answer in time."
	}
	return out
}

// describe says why a quorum was missed.
func (c Corroboration) describe() string {
	if c.Used < c.Required {
		return fmt.Sprintf("The rules ask for looks from %d other places on the network, and only %d are configured.", c.Required, c.Used)
	}
	var against []string
	for _, r := range c.Results {
		if !r.Agrees {
			against = append(against, fmt.Sprintf("%s: %s", r.Perspective, r.Text))
		}
	}
	if len(against) == 0 {
		return fmt.Sprintf("All %d other places on the network agree, but they stand in the region of one Internet registry only.", c.Used)
	}
	return fmt.Sprintf("It can be seen from here, but only %s other places on the network see the same (%s)", c.Quorum, strings.Join(against, " "))
}
