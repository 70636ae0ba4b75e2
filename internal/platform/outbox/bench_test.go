package outbox_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// counting tells when a message was delivered.
type counting struct {
	*outbox.Dev
	wg *sync.WaitGroup
}

func (c counting) Deliver(ctx context.Context, e outbox.Envelope) error {
	defer c.wg.Done()
	return c.Dev.Deliver(ctx, e)
}

// BenchmarkOutbox sends from eight callers per core, each message in a durable
// transaction of its own and with a sealed secret, and waits until all are
// delivered into memory and that is recorded.
func BenchmarkOutbox(b *testing.B) {
	for _, engine := range []struct {
		name string
		url  func(testing.TB) string
	}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}} {
		b.Run(engine.name, func(b *testing.B) {
			db := storetest.Open(b, engine.url(b))
			c, wg := clock.System{}, new(sync.WaitGroup)
			q := jobs.New(db, c, quiet, jobs.Options{})
			tr := counting{outbox.NewDev(c, 0), wg}
			o := outbox.New(db, c, quiet, q, newSealer(b), map[outbox.Channel]outbox.Transport{outbox.Email: tr, outbox.SMS: tr}, outbox.Options{})
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			go func() { ended <- q.Run(ctx) }()
			b.SetParallelism(8)
			before := cpu(b)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m := letter("kari@example.org")
					m.Body, m.Secret = "Your code is {secret}.", secret.NewCode(8)
					wg.Add(1)
					if err := db.Update(ctx, func(tx *store.Tx) error { _, err := o.Send(tx, m); return err }); err != nil {
						b.Error(err)
					}
				}
			})
			wg.Wait()
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/msg")
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
