package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Sample is one measured stretch of load on one server.
type Sample struct {
	Ops     int           `json:"ops"`
	Elapsed time.Duration `json:"elapsedNs"`
	P50     time.Duration `json:"p50Ns"`
	P95     time.Duration `json:"p95Ns"`
	P99     time.Duration `json:"p99Ns"`
	Max     time.Duration `json:"maxNs"`
	Errors  int           `json:"errors"`
	First   string        `json:"firstError,omitempty"`

	ServerCPU time.Duration `json:"serverCpuNs"` // user and system, all threads
	ClientCPU time.Duration `json:"clientCpuNs"`
	Written   int64         `json:"writtenBytes"` // to storage, as /proc/PID/io counts; -1 if unknown
	Peak      int64         `json:"peakBytes"`    // resident memory, VmHWM
}

// Rate is operations per second.
func (s Sample) Rate() float64 { return float64(s.Ops) / s.Elapsed.Seconds() }

// CPU is the server's processor time per operation.
func (s Sample) CPU() time.Duration { return s.ServerCPU / time.Duration(max(1, s.Ops)) }

// WrittenEach is what the server wrote to storage per operation, -1 if unknown.
func (s Sample) WrittenEach() int64 {
	if s.Written < 0 {
		return -1
	}
	return s.Written / int64(max(1, s.Ops))
}

// median is the sample with the median rate.
func median(all []Sample) Sample {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b Sample) int {
		if a.Rate() < b.Rate() {
			return -1
		}
		return 1
	})
	if len(sorted) == 0 {
		return Sample{}
	}
	return sorted[len(sorted)/2]
}

// An operation is one unit of work of a caller, with the check of its answer.
// The callers are numbered from 0; each runs its operations one after the other.
type operation func(ctx context.Context, caller int) error

// A load is how a server is driven: closed loop, a fixed number of callers.
type load struct {
	callers       int
	warm, measure time.Duration
}

// gauge reads a server's counters.
type gauge interface{ usage() (usage, error) }

// run drives op and measures the stretch after the warm-up. What is under way
// at its end is finished but not counted.
func (l load) run(ctx context.Context, server gauge, op operation) (Sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var stop atomic.Bool
	var from atomic.Int64 // nanoseconds since begin; counted from there on
	begin := time.Now()
	from.Store(int64(time.Hour))
	workers := make([]worker, l.callers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { workers[i].work(ctx, i, op, begin, &from, &stop) })
	}
	if err := pause(ctx, l.warm); err != nil {
		return Sample{}, err
	}
	before, err := server.usage()
	if err != nil {
		return Sample{}, err
	}
	self := ownCPU()
	from.Store(int64(time.Since(begin)))
	start := time.Now()
	waited := pause(ctx, l.measure)
	elapsed := time.Since(start)
	stop.Store(true)
	after, err := server.usage()
	used := ownCPU() - self
	wg.Wait()
	if waited != nil {
		return Sample{}, waited
	}
	s := summarise(workers, elapsed)
	s.ServerCPU, s.ClientCPU, s.Peak, s.Written = after.cpu-before.cpu, used, after.peak, after.written-before.written
	if before.written < 0 || after.written < 0 {
		s.Written = -1
	}
	return s, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type worker struct {
	took   []time.Duration
	errors int
	first  error
}

// patienceWithErrors is how many failures a caller sees before it gives up:
// a server that refuses everything is not to be hammered.
const patienceWithErrors = 20

func (w *worker) work(ctx context.Context, caller int, op operation, begin time.Time, from *atomic.Int64, stop *atomic.Bool) {
	for !stop.Load() && ctx.Err() == nil && w.errors < patienceWithErrors {
		start := time.Now()
		err := op(ctx, caller)
		took := time.Since(start)
		if err != nil {
			w.errors++
			if w.first == nil {
				w.first = err
			}
			continue
		}
		if !stop.Load() && int64(start.Sub(begin)) >= from.Load() {
			w.took = append(w.took, took)
		}
	}
}

func summarise(workers []worker, elapsed time.Duration) Sample {
	s := Sample{Elapsed: elapsed, Written: -1}
	var all []time.Duration
	for i := range workers {
		all = append(all, workers[i].took...)
		s.Errors += workers[i].errors
		if s.First == "" && workers[i].first != nil {
			s.First = workers[i].first.Error()
		}
	}
	s.Ops = len(all)
	if len(all) == 0 {
		return s
	}
	slices.Sort(all)
	at := func(share float64) time.Duration { return all[min(len(all)-1, int(share*float64(len(all))))] }
	s.P50, s.P95, s.P99, s.Max = at(0.50), at(0.95), at(0.99), all[len(all)-1]
	return s
}

// ownCPU is the processor time of this process so far.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprintf("getrusage of the own process: %v", err)) // its arguments are constant
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
