// The authorization server proper: oidc-provider with rotation and reuse detection, no clock tolerance, three kinds of client with logins and one without.
import { Provider } from 'oidc-provider';

const FLOW = { grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] };

/** Client metadata by id. The provider looks them up at each request, so a changed secret counts at once. */
export function registrations(redirectUri) {
  const common = { ...FLOW, redirect_uris: [redirectUri] };
  const clients = [
    { client_id: 'conf', client_secret: 'conf-secret-0123456789', token_endpoint_auth_method: 'client_secret_basic' },
    { client_id: 'post', client_secret: 'post-secret-0123456789', token_endpoint_auth_method: 'client_secret_post' },
    {
      client_id: 'svc', client_secret: 'svc-secret-0123456789', token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    },
    { client_id: 'pub', token_endpoint_auth_method: 'none', application_type: 'native' },
  ];
  return new Map(clients.map((client) => [client.client_id, { ...common, ...client }]));
}

export function makeProvider({ issuer, adapter, accessTokenTtl, refreshTokenTtl, rotate }) {
  const provider = new Provider(issuer, {
    adapter,
    clockTolerance: 0,
    cookies: { keys: ['test-only'] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: true },
    },
    findAccount: async (ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    issueRefreshToken: async (ctx, client, code) => client.grantTypeAllowed('refresh_token')
      && (code.scopes.has('offline_access') || code.scopes.has('offline')),
    pkce: { required: () => true },
    rotateRefreshToken: rotate,
    scopes: ['openid', 'offline_access', 'offline', 'read', 'write'],
    ttl: {
      AccessToken: accessTokenTtl,
      ClientCredentials: accessTokenTtl,
      Grant: 400 * 86400, // outlives any refresh token a test asks for
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: refreshTokenTtl,
      Session: 86400,
    },
  });
  provider.proxy = issuer.startsWith('https:'); // behind a TLS terminator that sets X-Forwarded-Proto
  provider.on('server_error', (ctx, error) => console.error('server_error', error));
  return provider;
}
