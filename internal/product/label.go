package product

// usualLabel is what a form calls a field that the product gives no label. The
// user interface translates by the field's name; this is the English.
func usualLabel(name string) string {
	switch name {
	case "subject.CN":
		return "Common name"
	case "subject.O":
		return "Organisation"
	case "subject.OU":
		return "Unit"
	case "subject.C":
		return "Country"
	case "subject.L":
		return "City"
	case "subject.ST":
		return "State or province"
	case "subject.STREET":
		return "Street"
	case "subject.postalCode":
		return "Postal code"
	case "subject.serialNumber":
		return "Serial number"
	case "subject.GN":
		return "Given name"
	case "subject.SN":
		return "Surname"
	case "subject.title":
		return "Title"
	case "subject.pseudonym":
		return "Pseudonym"
	case "subject.emailAddress":
		return "E-mail address in the subject"
	case "subject.organizationIdentifier":
		return "Organisation identifier"
	case "san.dns":
		return "Domain names"
	case "san.email":
		return "E-mail addresses"
	case "san.uri":
		return "URLs"
	case "san.ip":
		return "IP addresses"
	case "san.upn":
		return "User principal names"
	case "san.directory_name":
		return "Directory names"
	case "san.registered_id":
		return "Registered identifiers"
	case "san.guid":
		return "GUID of the domain controller"
	case "san.smtp_utf8":
		return "International e-mail addresses"
	case "ext.sid":
		return "Security identifier (SID)"
	case "ext.template":
		return "Certificate template"
	case "ext.role":
		return "Role"
	case "ext.device_serial":
		return "Serial number of the device"
	case "ext.scope":
		return "Scope"
	}
	_, key, _ := cutName(name)
	return key
}
