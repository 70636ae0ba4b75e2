package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A Calibration is what the machine can do at one moment. Two of them, before
// and after a benchmark, tell whether it was left alone meanwhile.
type Calibration struct {
	ECDSA  float64       `json:"p256SignaturesPerSecond"` // two workers
	RSA    float64       `json:"rsa2048SignaturesPerSecond"`
	SHA256 float64       `json:"sha256MBPerSecond"`
	Sync   time.Duration `json:"fdatasync1KBP50Ns"`
	Static float64       `json:"staticGetsPerSecond"` // 16 callers, TLS 1.3 keep-alive
}

// drifted is how much a calibrator may move before a run is void.
const drifted = 0.15

// Drift names the calibrators that moved too far between two calibrations.
func (c Calibration) Drift(after Calibration) []string {
	var moved []string
	for _, x := range []struct {
		name   string
		before float64
		after  float64
	}{
		{"P-256", c.ECDSA, after.ECDSA},
		{"RSA-2048", c.RSA, after.RSA},
		{"SHA-256", c.SHA256, after.SHA256},
		{"fdatasync", float64(c.Sync), float64(after.Sync)},
		{"static GET", c.Static, after.Static},
	} {
		if d := x.after/x.before - 1; math.Abs(d) > drifted {
			moved = append(moved, fmt.Sprintf("%s %+.0f %%", x.name, 100*d))
		}
	}
	return moved
}

// calibrate measures for about five times d. dir is on the disk that the
// servers use; static is a running static server.
func calibrate(ctx context.Context, dir string, static *callers, d time.Duration) (Calibration, error) {
	var c Calibration
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	digest := sha256.Sum256([]byte("calibration"))
	c.ECDSA = rate(d, 2, func() error { _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); return err })
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return c, err
	}
	c.RSA = rate(d, 1, func() error { _, err := big.Sign(rand.Reader, digest[:], crypto.SHA256); return err })
	text := make([]byte, 1<<20)
	c.SHA256 = rate(d, 1, func() error { sha256.Sum256(text); return nil })
	if c.Sync, err = syncTime(dir, d); err != nil {
		return c, err
	}
	s, err := load{callers: 16, warm: d / 4, measure: d}.run(ctx, nothing{}, func(ctx context.Context, caller int) error {
		_, err := static.get(ctx, caller, "/")
		return err
	})
	if err == nil && s.Errors > 0 {
		err = fmt.Errorf("static server: %s", s.First)
	}
	c.Static = s.Rate()
	return c, err
}

// nothing is the gauge of a server whose use is of no interest.
type nothing struct{}

func (nothing) usage() (usage, error) { return usage{written: -1}, nil }

// rate counts how often fn runs in a second. Its errors would be those of the
// random source, which ends the program.
func rate(d time.Duration, workers int, fn func() error) float64 {
	counts := make([]int, workers)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range counts {
		wg.Go(func() {
			for time.Since(start) < d {
				if fn() == nil {
					counts[i]++
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(start).Seconds()
}

// syncTime is the median time to append a kilobyte durably.
func syncTime(dir string, d time.Duration) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "calibration"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 1<<10)
	var all []time.Duration
	for begin := time.Now(); time.Since(begin) < d; {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}
