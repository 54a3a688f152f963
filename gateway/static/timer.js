// A worker that is nothing but a timer. `poll.js` sends it the ms to wait, Infinity for never; it answers when they are over.

let timer = 0;
onmessage = ({ data }) => {
  clearTimeout(timer);
  if (data !== Infinity) timer = setTimeout(() => postMessage(null), data);
};
