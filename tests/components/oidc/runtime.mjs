// Imported first: lets oidc-provider, which asks for Node.js 22, run quietly on 20.12 and later, as in Debian 13.
URL.parse ??= (input, base) => (URL.canParse(input, base) ? new URL(input, base) : null);

if ((process.env.QUIET ?? '1') === '1') { // the library talks about itself while it is loaded
  console.info = () => {};
  console.warn = () => {};
}
