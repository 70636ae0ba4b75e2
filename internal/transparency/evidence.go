package transparency

import (
	"time"

	"github.com/sealwright/sealwright/pki/ct"
)

// An Outcome says how one attempt at one log ended.
type Outcome string

// The outcomes.
const (
	OK           Outcome = "ok"
	Kept         Outcome = "kept"          // an SCT of an earlier call that still holds
	Dropped      Outcome = "dropped"       // one that does not
	Unneeded     Outcome = "unneeded"      // given up because the others sufficed
	Slow         Outcome = "slow"          // the same, after it was late
	Unreachable  Outcome = "unreachable"   // no connection, or it broke
	TimedOut     Outcome = "timed_out"     // no answer in time
	Busy         Outcome = "busy"          // status 429 or 503
	Failed       Outcome = "failed"        // another status from 500 on, or one that makes no sense
	Rejected     Outcome = "rejected"      // another status from 400 on: the log does not want this
	BadAnswer    Outcome = "bad_answer"    // not an SCT, or far too large
	WrongLog     Outcome = "wrong_log"     // an SCT of another log
	BadSignature Outcome = "bad_signature" // an SCT whose signature does not hold
	BadTime      Outcome = "bad_time"      // an SCT from the future, or too old
)

// lie tells whether a log that works as it should cannot end like this.
func (o Outcome) lie() bool { return o == WrongLog || o == BadSignature }

// passing tells whether the same log may do better in a moment.
func (o Outcome) passing() bool {
	return o == Unreachable || o == TimedOut || o == Busy || o == Failed
}

// An Attempt is the evidence of asking one log once.
type Attempt struct {
	Log      string        `json:"log"`
	LogID    string        `json:"log_id"` // base64
	Operator string        `json:"operator"`
	At       time.Time     `json:"at"`
	Latency  time.Duration `json:"latency_ns"`
	Outcome  Outcome       `json:"outcome"`
	Status   int           `json:"status,omitempty"` // of HTTP
	Detail   string        `json:"detail,omitempty"` // what went wrong, for people
}

// A Result is what Submit obtained, complete or not.
type Result struct {
	SCTs     []ct.SCT  // verified, in the order in which they came; no more than needed when complete
	Evidence []Attempt // in the order in which the attempts ended
}

func evidence(k *known, at time.Time, outcome Outcome) Attempt {
	return Attempt{Log: k.Name, LogID: k.key.ID().String(), Operator: k.Operator, At: at, Outcome: outcome}
}
