package transparency

import (
	"encoding/json"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ct"
)

// maxLogList bounds a log list; those in public use have some 100 KB.
const maxLogList = 4 << 20

// The log list of browsers, version 3, as far as it matters here
// (https://www.gstatic.com/ct/log_list/v3/log_list_schema.json).
type listJSON struct {
	Operators []struct {
		Name  string      `json:"name"`
		Logs  []listedLog `json:"logs"`
		Tiled []listedLog `json:"tiled_logs"`
	} `json:"operators"`
}

type listedLog struct {
	Description   string                 `json:"description"`
	ID            []byte                 `json:"log_id"`
	Key           []byte                 `json:"key"`
	URL           string                 `json:"url"`
	SubmissionURL string                 `json:"submission_url"` // of a log that publishes tiles
	State         map[string]listedState `json:"state"`
	Interval      struct {
		Start time.Time `json:"start_inclusive"`
		End   time.Time `json:"end_exclusive"`
	} `json:"temporal_interval"`
}

type listedState struct {
	Timestamp time.Time `json:"timestamp"`
}

// ParseLogList reads a log list in the JSON that browsers publish, version 3.
// Logs that are pending or rejected are left out, and those without a state.
// Logs that publish tiles take submissions in the same way and are included.
// The list's own signature is not looked at: give it only what was verified or
// reviewed.
func ParseLogList(data []byte) ([]Log, error) {
	if len(data) > maxLogList {
		return nil, fault.New(fault.TooLarge, "transparency.list_size", "A log list has at most %d bytes.", maxLogList)
	}
	var list listJSON
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fault.Invalidf("transparency.list", "The log list is not JSON of version 3.").WithCause(err)
	}
	var out []Log
	for _, operator := range list.Operators {
		for _, l := range append(operator.Logs, operator.Tiled...) {
			state, since, ok := l.state()
			if !ok {
				continue
			}
			if id := ct.LogIDOf(l.Key); string(id[:]) != string(l.ID) {
				return nil, fault.Invalidf("transparency.list_id", "The id of log %q in the log list is not that of its key.", l.Description)
			}
			address := l.URL
			if l.SubmissionURL != "" {
				address = l.SubmissionURL
			}
			out = append(out, Log{
				Name: l.Description, Operator: operator.Name, URL: address, Key: l.Key,
				Start: l.Interval.Start, Limit: l.Interval.End, State: state, Since: since,
			})
		}
	}
	if len(out) == 0 {
		return nil, fault.Invalidf("transparency.list", "The log list holds no logs.")
	}
	_, err := checkLogs(out)
	return out, err
}

func (l listedLog) state() (State, time.Time, bool) {
	for _, s := range []State{Usable, Qualified, ReadOnly, Retired} {
		if v, ok := l.State[string(s)]; ok {
			return s, v.Timestamp, true
		}
	}
	return "", time.Time{}, false
}
