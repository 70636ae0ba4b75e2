package api

import (
	"context"
	"crypto"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// apiCertificate is an API client certificate, which takes the place of an API
// token on the clientauth host.
type apiCertificate struct {
	ID         string    `json:"id" example:"apc-0198b6a5-7a31-7d10-9d2f-5e0a1c2b3d4e"`
	Nickname   string    `json:"nickname" example:"ordering-system_1"`
	Ends       time.Time `json:"ends" doc:"End of its life; it cannot be changed."`
	Encryption string    `json:"encryption" enum:"aes256,legacy" doc:"Of the file."`
	Hash       string    `json:"hash" example:"SHA-256" doc:"Of the certificate's signature."`
	Enabled    bool      `json:"enabled"`
	Serial     string    `json:"serial" example:"0198b6a27d51c2f04d5e6a7b8c9d0e1f" doc:"Serial number, lower-case hexadecimal."`
	Downloaded time.Time `json:"downloaded,omitzero" doc:"When the file was downloaded; absent while it can be."`
	CreatedBy  string    `json:"createdBy"`
	Created    time.Time `json:"created"`
}

func showAPICertificate(c apicert.Certificate) apiCertificate {
	v := apiCertificate{
		ID: c.ID, Nickname: c.Nickname, Ends: utc(c.Ends), Encryption: "aes256", Hash: c.Hash, Enabled: c.Status == apicert.Active, Serial: c.Serial,
		Downloaded: utc(c.Fetched), CreatedBy: c.CreatedBy, Created: utc(c.Created),
	}
	if c.Encryption == pkcs12.Legacy {
		v.Encryption = "legacy"
	}
	return v
}

type newAPICertificate struct {
	Nickname   string    `json:"nickname" minLength:"1" maxLength:"60" pattern:"^[A-Za-z0-9 _-]+$" example:"ordering-system_1" doc:"Unique for the owner: letters, digits, spaces, dashes and underscores."`
	Ends       time.Time `json:"ends" example:"2027-03-02T00:00:00Z" doc:"End of its life: not after that of the owner's API token. It cannot be changed later."`
	Encryption string    `json:"encryption,omitempty" enum:"aes256,legacy" example:"aes256" doc:"Of the file; aes256 by default. legacy (3DES, SHA-1) is for importers that answer \"invalid password\" to aes256: older macOS keychains, Windows Server 2016 and before, Android, some appliances."`
	Hash       string    `json:"hash,omitempty" enum:"sha256,sha384,sha512" example:"sha256" doc:"Of the certificate's signature; sha256 by default."`
}

func (n newAPICertificate) fields() apicert.Fields {
	hashes := map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}
	return apicert.Fields{Nickname: n.Nickname, Ends: n.Ends, Encryption: profile(n.Encryption), Hash: hashes[n.Hash]}
}

type createdAPICertificate struct {
	Certificate apiCertificate `json:"certificate"`
	Password    string         `json:"password" doc:"Opens the file. It is shown this once and not kept."`
	Download    string         `json:"download" doc:"Where the file can be had once, with POST."`
}

// certificateOperations describes the operations on one owner's certificates.
type certificateOperations struct{ path, tag, owner, needs string }

func (c certificateOperations) op(verb, noun, method, below, summary, text string) operation {
	return operation{id: verb + c.owner + noun, method: method, path: c.path + below, tag: c.tag, summary: summary, text: c.needs + text}
}

func (c certificateOperations) list() operation {
	return c.op("list", "APICertificates", http.MethodGet, "", "List API client certificates", " Deleted ones are not shown.")
}

func (c certificateOperations) get() operation {
	return c.op("get", "APICertificate", http.MethodGet, "/{certificate}", "Look at an API client certificate", "")
}

func (c certificateOperations) create() operation {
	o := c.op("create", "APICertificate", http.MethodPost, "", "Create an API client certificate",
		" The password of its file is in this answer and nowhere else. The certificate cannot outlive the owner's API tokens, nor a service account.")
	o.status, o.refusals = http.StatusCreated, []int{409}
	return o
}

func (c certificateOperations) download() operation {
	o := c.op("download", "APICertificate", http.MethodPost, "/{certificate}/download", "Download the file, once",
		" The file "+apicert.FileName+" holds the key, the certificate and its chain, encrypted under the password. It is erased here with this answer.")
	o.status, o.refusals = http.StatusOK, []int{410}
	o.content = map[string]*example{typePKCS12: {"The encrypted key file."}}
	return o
}

func (c certificateOperations) change() operation {
	return c.op("change", "APICertificate", http.MethodPatch, "/{certificate}", "Disable or enable an API client certificate", "")
}

func (c certificateOperations) remove() operation {
	return c.op("delete", "APICertificate", http.MethodDelete, "/{certificate}", "Delete an API client certificate", " It is revoked: it stops working at once and for good.")
}

const typePKCS12 = "application/x-pkcs12"

func (s *server) listAPICertificates(ctx context.Context, owner string) (*list[apiCertificate], error) {
	found, err := s.APICerts.List(ctx, scope(ctx), owner)
	if err != nil {
		return nil, err
	}
	return listOf(ctx, found, "", showAPICertificate), nil
}

func (s *server) createAPICertificate(ctx context.Context, path, owner string, n newAPICertificate) (*made[createdAPICertificate], error) {
	c, password, err := s.APICerts.Create(ctx, scope(ctx), owner, n.fields())
	if err != nil {
		return nil, err
	}
	at := Prefix + path + "/" + c.ID
	return &made[createdAPICertificate]{at, createdAPICertificate{showAPICertificate(c), password.Reveal(), at + "/download"}}, nil
}

// ownAPICertificate finds a certificate below the owner in whose path it is named.
func (s *server) ownAPICertificate(ctx context.Context, owner, id string) (apicert.Certificate, error) {
	c, err := s.APICerts.Get(ctx, scope(ctx), id)
	if err == nil && c.Owner != owner {
		err = access.NotFound()
	}
	return c, err
}

func (s *server) getAPICertificate(ctx context.Context, owner, id string) (*one[apiCertificate], error) {
	c, err := s.ownAPICertificate(ctx, owner, id)
	return show(showAPICertificate(c), err)
}

func (s *server) downloadAPICertificate(ctx context.Context, owner, id string) (*certificateFile, error) {
	if _, err := s.ownAPICertificate(ctx, owner, id); err != nil {
		return nil, err
	}
	_, file, err := s.APICerts.Download(ctx, scope(ctx), id)
	return &certificateFile{typePKCS12, attachment(apicert.FileName), file}, err
}

func (s *server) enableAPICertificate(ctx context.Context, owner, id string, on bool) (*one[apiCertificate], error) {
	if _, err := s.ownAPICertificate(ctx, owner, id); err != nil {
		return nil, err
	}
	if err := s.APICerts.SetEnabled(ctx, scope(ctx), id, on); err != nil {
		return nil, err
	}
	return s.getAPICertificate(ctx, owner, id)
}

func (s *server) deleteAPICertificate(ctx context.Context, owner, id string) (*struct{}, error) {
	if _, err := s.ownAPICertificate(ctx, owner, id); err != nil {
		return nil, err
	}
	return done(s.APICerts.Delete(ctx, scope(ctx), id))
}
