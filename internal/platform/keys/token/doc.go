// Package token uses the keys of a PKCS#11 token (PKCS #11 v2.40 and 3.0 for
// Ed25519). It is the only package that needs cgo, and only sealwright-signer
// imports it; without cgo it is empty.
//
// [Open] logs in; a [Token] then answers package remote's requests. A token
// that was pulled, restarted or lost its session is opened again within the next
// call. A PIN that was refused is never tried twice, because tokens lock after a
// few wrong ones.
package token
