package guide

import "strconv"

func java(p Params) Guide {
	g := Guide{ID: "java", Title: "Java", Summary: "Java 11 and later read the file as a key store; nothing needs to be converted."}
	if p.brought() {
		g.Steps = append(g.Steps, combine(p))
	}
	g.Steps = append(g.Steps, Step{Title: "See that Java can read it", Text: "One entry, PrivateKeyEntry. It asks for the file's password.", Code: lines("keytool -list -storetype PKCS12 -keystore " + sh(p.p12()))})
	if p.TrustFile != "" {
		g.Steps = append(g.Steps, Step{Title: "Make the host's authority known", Code: lines(
			"keytool -importcert -noprompt -alias web-services -file " + sh(p.TrustFile) + " -storetype PKCS12 -keystore trust.p12 -storepass changeit")})
	}
	g.Steps = append(g.Steps,
		Step{Title: "Use it", Text: "The passwords come from the environment; take them from wherever your program keeps its secrets.", File: "Client.java", Code: javaClient(p)},
		Step{Title: "Run it", Code: lines("P12_PASSWORD=… SERVICE_PASSWORD=… java Client.java")},
		Step{Title: "For code that you cannot change", Text: "The same through system properties, in a file that only the program can read:", File: "client.args", Code: lines(
			"-Djavax.net.ssl.keyStoreType=PKCS12", "-Djavax.net.ssl.keyStore="+p.p12(), "-Djavax.net.ssl.keyStorePassword=the password of the file",
			where(p.TrustFile != "", "-Djavax.net.ssl.trustStoreType=PKCS12"), where(p.TrustFile != "", "-Djavax.net.ssl.trustStore=trust.p12"),
			where(p.TrustFile != "", "-Djavax.net.ssl.trustStorePassword=changeit"))},
	)
	g.Cures = append([]Cure{
		{"java.io.IOException: keystore password was incorrect", "Java before 8u301 cannot read today's encryption and blames the password: update Java or have the legacy option ordered. Otherwise it is the password."},
		{"PKIX path building failed", "Java does not know the authority behind the host's certificate. Put it into a trust store as above; never install a trust manager that accepts everything."},
		{"403 with the code clientcert.missing", "The key manager found no key: the password of the store and of the key must be the same, as they are in this file."},
	}, legacy(p)...)
	return g
}

func javaClient(p Params) string {
	trust := "        TrustManager[] trusted = null; // the authorities that come with Java\n"
	if p.TrustFile != "" {
		trust = `        KeyStore authorities = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream("trust.p12")) {
            authorities.load(in, "changeit".toCharArray());
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(authorities);
        TrustManager[] trusted = trust.getTrustManagers();
`
	}
	return `import java.io.*;
import java.net.URI;
import java.net.http.*;
import java.security.KeyStore;
import java.util.Base64;
import javax.net.ssl.*;

public class Client {
    public static void main(String[] args) throws Exception {
        char[] password = System.getenv("P12_PASSWORD").toCharArray();
        KeyStore own = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(` + strconv.Quote(p.p12()) + `)) {
            own.load(in, password);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, password);
` + trust + `
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(keys.getKeyManagers(), trusted, null);
        HttpClient client = HttpClient.newBuilder().sslContext(tls).build();

        String login = ` + strconv.Quote(p.Service+":") + ` + System.getenv("SERVICE_PASSWORD");
        HttpRequest request = HttpRequest.newBuilder(URI.create(` + strconv.Quote(p.url()) + `))
            .header("Authorization", "Basic " + Base64.getEncoder().encodeToString(login.getBytes("UTF-8")))
            .header("Content-Type", "text/plain")
            .POST(HttpRequest.BodyPublishers.ofString("Hello"))
            .build();
        HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(response.statusCode() + " " + response.body());
    }
}
`
}

func dotNet(p Params) Guide {
	g := Guide{ID: "dotnet", Title: ".NET", Summary: ".NET 6 and later, on Windows and Linux."}
	if p.brought() {
		g.Steps = append(g.Steps, combine(p))
	}
	g.Steps = append(g.Steps,
		Step{Title: "Use it straight from the file", Text: "The passwords come from the environment; take them from wherever your program keeps its secrets. From .NET 9 on, X509CertificateLoader.LoadPkcs12FromFile takes the place of the constructor.", File: "Program.cs", Code: `using System.Net.Http.Headers;
using System.Security.Cryptography.X509Certificates;
using System.Text;

var password = Environment.GetEnvironmentVariable("P12_PASSWORD");
using var certificate = new X509Certificate2(` + strconv.Quote(p.p12()) + `, password);

using var handler = new HttpClientHandler { ClientCertificateOptions = ClientCertificateOption.Manual };
handler.ClientCertificates.Add(certificate);
using var client = new HttpClient(handler);

var login = ` + strconv.Quote(p.Service+":") + ` + Environment.GetEnvironmentVariable("SERVICE_PASSWORD");
client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(
    "Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(login)));

using var answer = await client.PostAsync(` + strconv.Quote(p.url()) + `,
    new StringContent("Hello", Encoding.UTF8, "text/plain"));
Console.WriteLine($"{(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");
`},
		Step{Title: "Or from the Windows certificate store", Text: "In PowerShell as administrator. It asks for the password. Then let the program's account read the private key: certlm.msc, Personal, the certificate, All Tasks, Manage Private Keys.", Code: lines(
			"Import-PfxCertificate -FilePath '" + p.p12() + "' -CertStoreLocation Cert:\\LocalMachine\\My -Password (Read-Host -AsSecureString 'Password')")},
	)
	if p.TrustFile != "" {
		g.Steps = append(g.Steps, Step{Title: "Make the host's authority known", Text: "In PowerShell as administrator:", Code: lines(
			"Import-Certificate -FilePath '" + p.TrustFile + "' -CertStoreLocation Cert:\\LocalMachine\\Root")})
	}
	g.Cures = append([]Cure{
		{"The specified network password is not correct", "Windows says so of a wrong password and, before Windows Server 2019, of every file with today's encryption. In the second case have the legacy option ordered."},
		{"The credentials supplied to the package were not recognized", "The account that the program runs under may not read the private key. Grant it as above. Do not load the file with EphemeralKeySet on Windows: its TLS cannot use such keys."},
		{"403 with the code clientcert.missing", "The certificate was loaded without its private key, or the store holds an older one of the same name. Check HasPrivateKey and choose by thumbprint."},
	}, legacy(p)...)
	return g
}

func nginx(p Params) Guide {
	g := Guide{ID: "nginx", Title: "nginx", Summary: "Programs that know nothing of certificates call nginx on the same machine, and nginx calls the web services."}
	if !p.brought() {
		g.Steps = append(g.Steps, split(p)...)
	}
	at := func(name string) string { return p.NginxDir + "/" + name }
	trust := "/etc/ssl/certs/ca-certificates.crt"
	if p.TrustFile != "" {
		trust = at(p.TrustFile)
	}
	g.Steps = append(g.Steps,
		Step{Title: "Put the files where nginx finds them", Text: "nginx reads the key as root before it gives up its rights; nobody else needs to.", Code: lines(
			"sudo install -d -m 700 "+sh(p.NginxDir),
			"sudo install -m 600 "+sh(p.pem())+" "+sh(p.key())+where(p.TrustFile != "", " "+sh(p.TrustFile))+" "+sh(p.NginxDir)+"/",
			"rm "+sh(p.key()))},
		Step{Title: "Tell nginx", File: "/etc/nginx/conf.d/" + p.CommonName + ".conf", Code: `server {
    # On this machine only: whoever reaches this port calls in your name.
    listen 127.0.0.1:8080;

    location / {
        proxy_pass https://` + p.address() + `;
        proxy_set_header Host ` + p.Host + `;

        proxy_ssl_certificate         ` + at(p.pem()) + `;
        proxy_ssl_certificate_key     ` + at(p.key()) + `;
        proxy_ssl_protocols           TLSv1.2 TLSv1.3;

        proxy_ssl_server_name         on;
        proxy_ssl_name                ` + p.Host + `;
        proxy_ssl_verify              on;
        proxy_ssl_verify_depth        3;
        proxy_ssl_trusted_certificate ` + trust + `;
    }
}
`},
		Step{Title: "Try it", Code: lines("sudo nginx -t && sudo nginx -s reload", "curl --user "+sh(p.Service)+` --header "Content-Type: text/plain" --data-binary "Hello" http://127.0.0.1:8080/doc/`+sh(p.Service)+"/sds")},
	)
	g.Cures = []Cure{
		{"502, and “upstream SSL certificate verify error” in the error log", "nginx does not know the authority behind the host's certificate: check proxy_ssl_trusted_certificate. Do not switch the check off."},
		{"“cannot load certificate key” on start", "The key file is encrypted or unreadable. Take it out of the .p12 with -noenc as above."},
		{"403 with the code clientcert.missing", "The directives stand in another location than the one that was called."},
	}
	return g
}
