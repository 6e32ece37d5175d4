// A real OpenID provider for tests: `oidc-provider` from npm, with people who are made by asking and who sign in without a
// password: the page that would ask for one is answered by `?as=NAME`, or `?deny=1`.
//
// node provider.mjs MODULES PORT REDIRECT_URI; it ends when its standard input does.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";

const [modules, port, redirect] = process.argv.slice(2);
const { default: Provider } = await import(`${modules}/node_modules/oidc-provider/lib/index.js`);

const people = new Map();
let keys = [];

function key() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), alg: "RS256", use: "sig", kid: randomUUID() };
}

function provider() {
  keys = [key()];
  const made = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{ client_id: "quarterdeck", client_secret: "a secret of the client's", redirect_uris: [redirect] }],
    jwks: { keys },
    cookies: { keys: ["of tests alone"] },
    claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email"], groups: ["groups"] },
    scopes: ["openid", "profile", "email", "groups"],
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, id) => people.has(id) && { accountId: id, claims: () => ({ sub: id, ...people.get(id) }) },
  });
  made.on("server_error", (_, error) => console.error(error));
  return made;
}

let current = provider();

async function interaction(request, response, query) {
  const { prompt, params, session } = await current.interactionDetails(request, response);
  const finish = (result) =>
    current.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
  if (query.has("deny")) {
    return finish({ error: "access_denied", error_description: "the person said no" });
  }
  if (prompt.name === "login") {
    return finish({ login: { accountId: query.get("as") } });
  }
  const grant = new current.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return finish({ consent: { grantId: await grant.save() } });
}

async function body(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return JSON.parse(text || "{}");
}

createServer(async (request, response) => {
  const url = new URL(request.url, `http://127.0.0.1:${port}`);
  try {
    if (url.pathname === "/test/people") {
      const { sub, ...claims } = await body(request);
      people.set(sub, claims);
      response.end();
    } else if (url.pathname === "/test/rotate") {
      current = provider();
      response.end();
    } else if (url.pathname.startsWith("/interaction/")) {
      await interaction(request, response, url.searchParams);
    } else {
      current.callback()(request, response);
    }
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
}).listen(Number(port), "127.0.0.1");

process.stdin.on("end", () => process.exit(0)).resume();
