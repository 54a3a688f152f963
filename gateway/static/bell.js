// The service worker of the notifications: it does nothing but bring the waiting page to the front when one is pressed.

addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(toThePage(event.notification.data));
});

async function toThePage(address) {
  const pages = await clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((one) => one.url === address);
  await (page ? page.focus() : clients.openWindow(address));
}
