package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// job is a piece of background work, or a schedule.
type job struct {
	ID        string    `json:"id" example:"every-crl.produce"`
	Kind      string    `json:"kind" example:"crl.produce"`
	State     string    `json:"state" enum:"waiting,running,done,failed"`
	Attempts  int       `json:"attempts"`
	Every     string    `json:"every,omitempty" example:"1m0s" doc:"Of a schedule: how often it comes round."`
	Due       time.Time `json:"due,omitzero" doc:"When it runs next; of a running one, the end of its lease."`
	Created   time.Time `json:"created"`
	Done      time.Time `json:"done,omitzero" doc:"When it ended; of a schedule, the last success."`
	LastError string    `json:"lastError,omitempty"`
}

func showJob(j jobs.Row) job {
	v := job{ID: j.ID, Kind: j.Kind, State: j.State, Attempts: j.Attempts, Due: utc(j.DueAt), Created: utc(j.CreatedAt), Done: utc(j.DoneAt), LastError: j.LastError}
	if j.Every > 0 {
		v.Every = j.Every.String()
	}
	return v
}

type jobFilter struct {
	Paging
	Kind  string `query:"kind" maxLength:"80" doc:"Of this kind only."`
	State string `query:"state" enum:"waiting,running,done,failed" doc:"In this state only."`
}

func (s *server) jobs(r registrar) {
	const tag = "jobs"
	register(r, operation{
		id: "listJobs", method: http.MethodGet, path: "/jobs", tag: tag, summary: "List background work", text: "Needs job.read for the installation.",
	}, func(ctx context.Context, in *jobFilter) (*list[job], error) {
		if err := scope(ctx).Require(access.JobRead, "", ""); err != nil {
			return nil, err
		}
		found, next, err := s.Queue.List(s.DB.View(ctx), jobs.Filter{Kind: in.Kind, State: in.State}, in.page())
		if err != nil {
			return nil, err
		}
		return listOf(ctx, found, next, showJob), nil
	})
	register(r, operation{
		id: "runJob", method: http.MethodPost, path: "/jobs/{id}/run", tag: tag, refusals: []int{409}, summary: "Run a job now",
		text: "Needs job.run for the installation. One that waits, or a schedule, becomes due at once; one that failed begins anew.",
	}, func(ctx context.Context, in *ByID) (*one[job], error) {
		if err := scope(ctx).Require(access.JobRun, "", ""); err != nil {
			return nil, err
		}
		return show(s.runJob(ctx, in.ID))
	})
}

func (s *server) runJob(ctx context.Context, id string) (job, error) {
	var v job
	err := s.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := s.Queue.Get(tx, id)
		if err != nil {
			return err
		}
		run := s.Queue.RunNow
		if row.State == jobs.Failed {
			run = s.Queue.Retry
		}
		if err := run(tx, id); err != nil {
			return err
		}
		if row, err = s.Queue.Get(tx, id); err != nil {
			return err
		}
		v = showJob(row)
		return s.Audit.Append(tx, audit.Entry{Action: "job.run", ObjectKind: "job", ObjectID: id, Detail: map[string]string{"kind": row.Kind}})
	})
	return v, err
}
