package jobs

import "context"

// Renew extends the leases as the running queue does from time to time.
func Renew(ctx context.Context, q *Queue) error { return q.renew(ctx) }
