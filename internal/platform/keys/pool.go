package keys

import (
	"context"
	"crypto"
	"runtime"
	"sync"
	"time"
)

// A Pool keeps a few RSA keys ready, so that a person who waits for a
// certificate does not wait for primes as well. One goroutine fills it and
// rests after each key for as long as the key took, so that it never takes more
// than half a core. (Lowering the priority of its thread would be worse: the
// garbage collector waits for every thread.)
type Pool struct {
	ready map[Algorithm]chan crypto.Signer
	order []Algorithm   // which to fill first
	taken chan struct{} // wakes the goroutine
	slots chan struct{} // bounds keys made while a caller waits
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once
}

// A Stock says how many keys of one kind to keep ready.
type Stock struct {
	Algorithm Algorithm
	Count     int
}

// NewPool starts filling a pool, in the order given. Without any stock it keeps
// four keys of 2048 bits. Only RSA is stocked; other keys take microseconds.
func NewPool(stock ...Stock) *Pool {
	if len(stock) == 0 {
		stock = []Stock{{RSA2048, 4}}
	}
	p := &Pool{
		ready: map[Algorithm]chan crypto.Signer{},
		taken: make(chan struct{}, 1),
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		quit:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	for _, s := range stock {
		if s.Algorithm.IsRSA() && s.Count > 0 && p.ready[s.Algorithm] == nil {
			p.ready[s.Algorithm] = make(chan crypto.Signer, s.Count)
			p.order = append(p.order, s.Algorithm)
		}
	}
	go p.fill()
	return p
}

// Get returns a key that nobody else has: a ready one, or one made now. At most
// GOMAXPROCS RSA keys are made at once; ctx ends the wait for a turn, not the
// making. It works after Close too, without a stock.
func (p *Pool) Get(ctx context.Context, alg Algorithm) (crypto.Signer, error) {
	if !alg.IsRSA() {
		return Generate(alg)
	}
	select {
	case k := <-p.ready[alg]: // a nil channel is never ready
		select {
		case p.taken <- struct{}{}:
		default: // the goroutine will wake anyway
		}
		return k, nil
	default:
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
		return Generate(alg)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends the goroutine; it waits for the key being made.
func (p *Pool) Close() {
	p.once.Do(func() { close(p.quit) })
	<-p.done
}

func (p *Pool) fill() {
	defer close(p.done)
	for {
		alg, missing := p.missing()
		if !missing {
			select {
			case <-p.taken:
				continue
			case <-p.quit:
				return
			}
		}
		start := time.Now()
		k, err := Generate(alg)
		rest := time.Since(start)
		if err != nil {
			rest = time.Second // does not happen with a working random source; callers see the error
		} else {
			p.ready[alg] <- k // has room: nobody else sends
		}
		select {
		case <-time.After(rest):
		case <-p.quit:
			return
		}
	}
}

func (p *Pool) missing() (Algorithm, bool) {
	for _, a := range p.order {
		if len(p.ready[a]) < cap(p.ready[a]) {
			return a, true
		}
	}
	return "", false
}
