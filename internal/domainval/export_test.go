package domainval

import (
	"context"

	"github.com/sealwright/sealwright/internal/domainval/perspective"
)

// Corroborate looks for a TXT value from the desk's remote perspectives, of which
// hung does not answer until release is closed.
func (d *Desk) Corroborate(ctx context.Context, name, value string, hung Perspective, release <-chan struct{}) Corroboration {
	e := *d
	e.remotes = nil
	for _, r := range d.remotes {
		if r == hung {
			r = stuck{r, release}
		}
		e.remotes = append(e.remotes, r)
	}
	return e.corroborate(ctx, perspective.Question{Kind: perspective.TXT, Name: name}, func(o perspective.Observation) verdict {
		return judgeTexts(o, "nothing", func(text string) (bool, string) { return text == value, "" })
	})
}

// stuck ignores its context, as code that hangs does.
type stuck struct {
	Perspective
	release <-chan struct{}
}

func (s stuck) Look(context.Context, perspective.Question) (perspective.Observation, error) {
	<-s.release
	return perspective.Observation{}, nil
}
