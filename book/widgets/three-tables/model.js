// Which of our measurements stands beside a published row under the chosen settings.
const NEAR = 0.01; // closer than this, a row is explained

// The protocol with these settings, or undefined: nobody measured every combination.
const protocolOf = (data, {users, targets, likes}) => data.protocols.find(
  (one) => one.users === users && one.targets === targets && one.likes === likes);

// {value, model, runs} or undefined. One list for all is the list of the most popular films.
function ours(data, row, settings) {
  const protocol = protocolOf(data, settings);
  const model = settings.lists === "one" ? "popularity" : row.model;
  return protocol && data.measured.find((entry) => entry.model === model && entry.protocol === protocol.name
    && entry.masked === (settings.seen === "masked"));
}

const agrees = (row, found) => Boolean(found) && Math.abs(found.value - row.value) <= NEAR;
