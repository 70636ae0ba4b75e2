package console

import (
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func (c *console) jobRoutes() []route {
	return []route{
		{"GET /jobs", member, c.jobsPage},
		{"POST /jobs/{id}/run", member, c.runJob},
	}
}

func (v *visit) jobState(j jobs.Row) (ui.State, string) {
	switch j.State {
	case jobs.Finished:
		return ui.OK, v.say("Done")
	case jobs.Failed:
		return ui.Danger, v.say("Failed")
	case jobs.Running:
		return ui.Info, v.say("Running")
	}
	if j.LastError != "" {
		return ui.Warn, v.say("Waits to be repeated")
	}
	return ui.Neutral, v.say("Waiting")
}

func (c *console) jobsPage(v *visit) error {
	if err := v.scope().Require(access.JobRead, "", ""); err != nil {
		return err
	}
	f := jobs.Filter{Kind: v.field("kind"), State: v.field("state")}
	type j = jobs.Row
	l := listing[j]{
		id: "jobs", caption: v.say("Jobs"),
		columns: []column[j]{
			nameColumn(v.say("Kind"), func(x j) string { return x.Kind }, func(x j) string {
				if x.Every > 0 {
					return v.say("every %s", x.Every)
				}
				return x.Key
			}),
			badgeColumn(v.say("State"), v.jobState),
			{Column: ui.Column{Label: v.say("Attempts"), Numeric: true}, text: func(x j) string { return v.say("%d", x.Attempts) }},
			timeColumn(v.say("Next run"), func(x j) time.Time {
				if x.State == jobs.Waiting {
					return x.DueAt
				}
				return time.Time{}
			}),
			timeColumn(v.say("Last success"), func(x j) time.Time { return x.DoneAt }),
			textColumn(v.say("Last error"), func(x j) string { return x.LastError }),
			buttonColumn(v.say("Acts"), func(x j) templ.Component {
				if !v.scope().Allows(access.JobRun, "", "") || x.State == jobs.Running || x.State == jobs.Finished {
					return templ.NopComponent
				}
				label := v.say("Run now")
				if x.State == jobs.Failed {
					label = v.say("Try again")
				}
				return act("/jobs/"+x.ID+"/run", ui.ButtonProps{Label: label, Small: true})
			}),
		},
		fetch: func(p store.Page) ([]j, string, error) { return c.Queue.List(c.DB.View(v.ctx), f, p) },
		empty: ui.EmptyStateProps{Icon: "clock", Title: v.say("No jobs yet"), Text: v.say("Schedules and background work appear here once the server has run for a moment.")},
		filters: []templ.Component{
			ui.Field(ui.FieldProps{Name: "kind", Label: v.say("Kind"), Type: "search", Value: f.Kind}),
			ui.Select(ui.SelectProps{Name: "state", Label: v.say("State"), Blank: v.say("All"), Value: f.State, Options: []ui.Option{
				{Value: jobs.Waiting, Label: v.say("Waiting")}, {Value: jobs.Running, Label: v.say("Running")}, {Value: jobs.Finished, Label: v.say("Done")}, {Value: jobs.Failed, Label: v.say("Failed")},
			}}),
		},
		names: []string{"kind", "state"},
	}
	return l.serve(v, ui.PageProps{Title: v.say("Jobs"), Lead: v.say("Background work and schedules of all nodes")})
}

// runJob makes a waiting job due at once and gives a failed one its attempts again.
func (c *console) runJob(v *visit) error {
	v.back = "/jobs"
	if err := v.scope().Require(access.JobRun, "", ""); err != nil {
		return err
	}
	err := c.DB.Update(v.ctx, func(tx *store.Tx) error {
		row, err := c.Queue.Get(tx, v.id())
		if err != nil {
			return err
		}
		run := c.Queue.RunNow
		if row.State == jobs.Failed {
			run = c.Queue.Retry
		}
		if err := run(tx, row.ID); err != nil {
			return err
		}
		return c.Audit.Append(tx, audit.Entry{Action: "job.run", ObjectKind: "job", ObjectID: row.ID, Detail: map[string]string{"kind": row.Kind}})
	})
	if err != nil {
		return err
	}
	return v.done("/jobs", "job.run")
}
