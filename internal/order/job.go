package order

import (
	"time"

	"github.com/sealwright/sealwright/internal/platform/ident"
)

// A JobType is a stage of an order or one check within it, named as the RA
// interface does.
type JobType string

// The jobs of an order.
const (
	JobSubmit      JobType = "ISSUE_SUBMIT_CERTIFICATE_ORDER_JOB"
	JobRenewal     JobType = "ISSUE_CERTIFICATE_RENEWAL_VALIDATION_JOB"
	JobKey         JobType = "ISSUE_KEY_VALIDATION_JOB"
	JobSetPIN      JobType = "ISSUE_SET_P12_PIN_JOB"
	JobTBS         JobType = "ISSUE_GENERATE_TBS_JOB"
	JobPre         JobType = "ISSUE_PRE_VALIDATION_JOB"
	JobPolicy      JobType = "ISSUE_POLICY_VALIDATION_JOB"
	JobCAA         JobType = "ISSUE_CAA_CHECK_VALIDATION_JOB"
	JobDomain      JobType = "ISSUE_DOMAIN_OWNER_CHECK_VALIDATION_JOB"
	JobMailbox     JobType = "ISSUE_END_USER_EMAIL_VALIDATION_JOB"
	JobPreLint     JobType = "ISSUE_PRE_LINTING_JOB"
	JobAuthorize   JobType = "ISSUE_AUTHORIZATION_JOB"
	JobPreIssue    JobType = "ISSUE_PRE_ISSUE_CERTIFICATE_JOB"
	JobPreCT       JobType = "ISSUE_CT_LOG_PRE_CERT_PUBLICATION_JOB"
	JobIssue       JobType = "ISSUE_ISSUE_CERTIFICATE_JOB"
	JobPost        JobType = "ISSUE_POST_ISSUE_CERTIFICATE_JOB"
	JobPostLint    JobType = "ISSUE_POST_LINTING_CERTIFICATE_JOB"
	JobCT          JobType = "ISSUE_CT_LOG_PUBLICATION_JOB"
	JobFinalize    JobType = "ISSUE_FINALIZE_ISSUE_CERTIFICATE_JOB"
	JobNotify      JobType = "ISSUE_NOTIFY_ISSUED_JOB"
	JobP12Notify   JobType = "ISSUE_NOTIFY_P12_RETRIEVAL_JOB"
	JobSendPIN     JobType = "ISSUE_SEND_P12_PIN_JOB"
	JobPublish     JobType = "PUBLISH_POST_CERTIFICATE_JOB"
	JobRenewNotify JobType = "ISSUE_NOTIFY_RENEWAL_JOB"
	JobRenewUpdate JobType = "ISSUE_UPDATE_RENEWAL_JOB"
	JobRevokeOld   JobType = "ISSUE_REVOKE_RENEWED_CERTIFICATE_JOB"
	JobRevoke      JobType = "REVOKE_CERTIFICATE_JOB"
	JobRevokeAuth  JobType = "RA_AUTHORIZE_CERT_REVOKE_JOB"
)

// A JobState is where a job stands (A138 to A145).
type JobState string

// The states of jobs. A job that ran to its end within one commit is seen in
// its last state only.
const (
	JobWaiting    JobState = "WAITING"    // for a person or for other jobs
	JobPending    JobState = "PENDING"    // in the queue
	JobProcessing JobState = "PROCESSING" // a node is at it
	JobSuccess    JobState = "SUCCESS"
	JobFailed     JobState = "FAILED"
	JobRequested  JobState = "SCHEDULE_REQUEST"
	JobResponding JobState = "SCHEDULE_RESPONSE"
	JobRetry      JobState = "RETRY" // failed for now; runs again
)

// A Job is one line of an order's history (A136, A137). Times are zero as long
// as they have not come.
type Job struct {
	ID       string    `json:"id"` // "job-" and a UUID
	Parent   string    `json:"parent,omitempty"`
	Type     JobType   `json:"type"`
	State    JobState  `json:"state"`
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Runs     int       `json:"runs"`               // numberOfExecutions
	Response string    `json:"response,omitempty"` // what came out, for people
	Error    string    `json:"error,omitempty"`    // why it failed, waits or is repeated
	By       string    `json:"by,omitempty"`       // the person who did it
}

// stageJobs names the job of each stage; others are its children.
var stageJobs = map[State]JobType{
	New: JobSubmit, PendingCSR: JobRenewal, KeyValidation: JobKey, GenerateTBS: JobTBS, PreValidation: JobPre, PendingAuth: JobAuthorize,
	PreIssue: JobPreIssue, Issue: JobIssue, PostValid: JobPost, Finalize: JobFinalize,
}

// parents names the stage's job under which a check stands.
var parents = map[JobType]JobType{
	JobSetPIN: JobKey, JobPolicy: JobPre, JobCAA: JobPre, JobDomain: JobPre, JobMailbox: JobPre, JobPreLint: JobPre,
	JobPreCT: JobPreIssue, JobPostLint: JobPost, JobCT: JobPost,
	JobNotify: JobFinalize, JobP12Notify: JobFinalize, JobSendPIN: JobFinalize, JobPublish: JobFinalize,
}

// Job returns the latest job of a type, or nil.
func (o *Order) Job(t JobType) *Job {
	for i := len(o.Jobs) - 1; i >= 0; i-- {
		if o.Jobs[i].Type == t {
			return &o.Jobs[i]
		}
	}
	return nil
}

// begin starts a run of the order's job of a type, which is made if need be.
func (o *Order) begin(t JobType, now time.Time) *Job {
	j := o.Job(t)
	if j == nil {
		o.Jobs = append(o.Jobs, Job{ID: ident.New("job"), Type: t, Created: now})
		j = &o.Jobs[len(o.Jobs)-1]
		if p := o.Job(parents[t]); p != nil {
			j.Parent = p.ID
		}
	}
	j.State, j.Started, j.Finished, j.Error = JobProcessing, now, time.Time{}, ""
	j.Runs++
	return j
}

// end finishes a run. Jobs are found anew by their type, because the list grows.
func (o *Order) end(t JobType, s JobState, now time.Time, response, problem string) {
	j := o.Job(t)
	if j == nil {
		j = o.begin(t, now)
	}
	j.State, j.Response, j.Error = s, response, problem
	if s == JobSuccess || s == JobFailed {
		j.Finished = now
	}
}

// did is a job that began and succeeded at one moment.
func (o *Order) did(t JobType, now time.Time, response string) {
	o.begin(t, now)
	o.end(t, JobSuccess, now, response, "")
}
