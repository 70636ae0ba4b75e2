package clientcert

// ServiceOf is for the fuzz target.
var ServiceOf = serviceOf
